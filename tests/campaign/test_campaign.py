"""Campaigns on the fake backend, with worker processes that really die."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, Progress, run_campaign
from latbench.campaign.canaries import CANARIES, UNIT
from latbench.campaign.plan import blocks, sampled_tasks
from latbench.errors import BackendError, BackendUnavailable, StoreError
from latbench.spaces import darts, nasbench201
from latbench.store import Store
from latbench.store.occasions import sentinels
from latbench.testing import CostModelBackend
from latbench.testing.fake import Fault
from latbench.timing.protocol import Protocol

SPACE = nasbench201(channels=4, cells=1, resolution=8)
FAST = CampaignOptions(retest=0.2, block=8, overlap=False, load_timeout_s=60, visit_timeout_s=5)
BOTH = pytest.mark.parametrize("overlap", [False, True], ids=["one worker", "overlap"])
# With two workers as long again; that they make the same rows, and a crash of one, is BOTH's.
MOSTLY_ONE = pytest.mark.parametrize(
    "overlap",
    [
        pytest.param(False, id="one worker"),
        pytest.param(True, id="overlap", marks=pytest.mark.slow),
    ],
)


def rows(store: Store, columns: str = "architecture, repeat, status") -> list[Any]:
    return store._db.execute(f"SELECT {columns} FROM measurements ORDER BY 1, 2").fetchall()


def expected_keys(n: int, options: CampaignOptions = FAST, seed: int = 0) -> list[tuple[str, int]]:
    tasks = sampled_tasks(SPACE, seed, n)
    return sorted(t.key for block in blocks(tasks, options.block, options.retest) for t in block)


@BOTH
def test_every_task_becomes_one_row_and_a_second_run_adds_none(
    tmp_path: Path, overlap: bool
) -> None:
    backend, options = CostModelBackend(noise=0.01), replace(FAST, overlap=overlap)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        first = run_campaign(store, backend, n=20, options=options)
        assert [row[:2] for row in rows(store)] == expected_keys(20)
        again = run_campaign(store, backend, n=20, options=options)
        longer = run_campaign(store, backend, n=30, options=options)
        assert first.failed == again.measured == 0
        assert again.already_there == first.measured
        assert {row[:2] for row in rows(store)} >= set(expected_keys(20))
        assert len(rows(store)) == first.measured + longer.measured


def test_latency_is_the_formula_although_the_machine_drifts(tmp_path: Path) -> None:
    backend = CostModelBackend(noise=0.005, drift=0.3, drift_period_s=2.0)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        run_campaign(store, backend, n=20, options=FAST, protocol=Protocol())
        canary = backend.latency_s(CANARIES[UNIT]())
        for architecture, relative in rows(store, "architecture, relative"):
            truth = backend.latency_s(SPACE.build(SPACE.parse(architecture))) / canary
            assert relative == pytest.approx(truth, rel=0.03)


def test_noise_floor_is_that_of_the_sessions(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        quiet = CostModelBackend(noise=0.0, session_noise=0.05)
        run_campaign(store, quiet, n=40, options=CampaignOptions(retest=1, block=20))
        floor = store.sets()[0].noise_floor
    assert floor is not None
    # |a - b| of two log-normal factors of 5 %: 0.05 * 2 / sqrt(pi) = 5.6 %
    assert 0.03 < floor < 0.09


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("exception", "the runtime failed"),
        ("segfault", "SIGSEGV"),
        ("oom", "SIGKILL, perhaps for lack of memory"),
        pytest.param("exit", "exited with code 3", marks=pytest.mark.slow),
        ("hang", "no answer within"),
    ],
)
@MOSTLY_ONE
def test_a_fault_is_one_failed_row(
    tmp_path: Path, fault: Fault, reason: str, overlap: bool
) -> None:
    if overlap and fault not in ("exception", "segfault"):
        pytest.skip("as long again, and no other path than these two")
    backend = CostModelBackend(fault=fault, fault_every=4, seed=26)
    assert not backend.faulty(SPACE.build(SPACE.reference()))
    timeout_s = 3 if fault == "hang" else 60
    options = CampaignOptions(retest=0, block=3, overlap=overlap, load_timeout_s=timeout_s)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, backend, n=6, options=options)
        for architecture, status, error in rows(store, "architecture, status, error"):
            faulty = backend.faulty(SPACE.build(SPACE.parse(architecture)))
            assert status == ("failed" if faulty else "ok")
            assert (error is not None and reason in error) == faulty
    assert 0 < outcome.failed < 6


def test_failed_rows_are_tried_again_only_when_asked(tmp_path: Path) -> None:
    backend = CostModelBackend(fault="exception", fault_every=4, seed=26)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        first = run_campaign(store, backend, n=6, options=FAST)
        assert run_campaign(store, backend, n=6, options=FAST).failed == 0
        again = run_campaign(store, backend, n=6, options=FAST, retry_failed=True)
        assert again.failed == first.failed > 0


def test_noisy_rows_are_measured_again_and_the_narrower_one_stays(tmp_path: Path) -> None:
    backend = CostModelBackend()
    again = replace(FAST, retry_noisy=0.05)
    columns = "key, repeat, half_width, finished"
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        first = run_campaign(store, backend, n=6, options=FAST)
        sound = rows(store, columns)
        store.connection.execute("UPDATE main.measurements SET half_width = 0.3 WHERE key % 2")
        noisy = {(key, repeat) for key, repeat, width, _ in rows(store, columns) if width == 0.3}
        assert 0 < len(noisy) < first.measured
        assert store.sets()[0].noisy == len(noisy)
        assert run_campaign(store, backend, n=6, options=FAST).measured == 0
        checks = len(sentinels(store, 1))
        assert run_campaign(store, backend, n=6, options=again).measured == len(noisy) + checks
        assert store.sets()[0].noisy == 0
        kept = {row for row in sound if row[:2] not in noisy}
        assert kept < set(rows(store, columns))
        assert len(rows(store, columns)) == len(sound) + checks
        assert run_campaign(store, backend, n=6, options=again).measured == 0


WRONG = """
from typing import ClassVar
from latbench.backends.torch_eager import TorchEager
class Wrong(TorchEager):
    name: ClassVar[str] = "wrong"
    def load(self, model):
        session = super().load(model)
        right = session.outputs
        session.outputs = lambda: right() + 1
        return session
"""


def test_wrong_outputs_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_outputs.py").write_text(WRONG)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backend = make_backend("wrong_outputs:Wrong")
    with (
        Store(tmp_path / "s.sqlite", SPACE) as store,
        pytest.raises(BackendError, match="differs from torch float32"),
    ):
        run_campaign(store, backend, n=2, options=FAST)


# Right about everything but images of 8 pixels, which no canary has.
WRONG_SOMEWHERE = WRONG.replace(
    "        right =",
    "        if model.network.input_shape[2] != 8: return session\n        right =",
)


@pytest.mark.parametrize("parity", [True, False])
def test_every_network_is_compared_unless_it_is_not_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parity: bool
) -> None:
    (tmp_path / "wrong_somewhere.py").write_text(WRONG_SOMEWHERE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backend = make_backend("wrong_somewhere:Wrong")
    options = CampaignOptions(retest=0, parity=parity)
    quick = Protocol(min_visits=2, max_visits=2)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, backend, n=3, options=options, protocol=quick)
        assert outcome.failed == (3 if parity else 0)
        errors = [error for _, _, error in rows(store, "key, repeat, error")]
        assert all("differs from torch float32" in str(e) for e in errors) == parity


COUNTING = """
import os
from dataclasses import dataclass
from latbench.backends.torch_eager import TorchEager

@dataclass(frozen=True)
class Counting(TorchEager):
    name = "counting"

    def load(self, model):
        session = super().load(model)
        outputs = session.outputs
        def counted():
            with open(os.environ["COUNTED"], "a") as file:
                file.write("x")
            return outputs()
        session.outputs = counted
        return session
"""


def test_a_network_is_compared_once_in_a_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    quick = Protocol(min_visits=2, max_visits=2)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        options = CampaignOptions(retest=1.0)
        backend = make_backend("counting:Counting")
        outcome = run_campaign(store, backend, n=3, options=options, protocol=quick)
        assert (outcome.failed, len(rows(store, "key, repeat"))) == (0, 6)
    assert (tmp_path / "counted").read_text() == "x" * 4  # a canary's and three networks'


CAMPAIGN = """
import sys
from latbench.campaign import CampaignOptions, run_campaign
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.testing import CostModelBackend
with Store(sys.argv[1], nasbench201(channels=4, cells=1, resolution=8)) as store:
    run_campaign(store, CostModelBackend(noise=0.01), n=60,
                 options=CampaignOptions(retest=0.2, block=8, overlap=sys.argv[2] == "True"))
"""


def count_rows(path: Path) -> int:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM measurements").fetchone()[0])
    except sqlite3.Error:
        return 0


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@MOSTLY_ONE
def test_killed_in_the_middle_it_resumes_with_every_row_once(tmp_path: Path, overlap: bool) -> None:
    path = tmp_path / "s.sqlite"
    for rows_before_the_kill in (5, 25):
        process = subprocess.Popen([sys.executable, "-c", CAMPAIGN, str(path), str(overlap)])
        deadline = time.monotonic() + 120
        while count_rows(path) < rows_before_the_kill and time.monotonic() < deadline:
            time.sleep(0.005)
        workers = children(process.pid)
        assert len(workers) == 1 + overlap
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = count_rows(path)
        assert rows_before_the_kill <= found < len(expected_keys(60))
        _assert_gone(workers)
    subprocess.run([sys.executable, "-c", CAMPAIGN, str(path), str(overlap)], check=True)
    options = CampaignOptions(retest=0.2, block=8)
    with Store(path) as store:
        planned = [row[:2] for row in rows(store) if row[1] < 2]
        assert planned == expected_keys(60, options)
        assert {row[2] for row in rows(store)} == {"ok"}


def _assert_gone(pids: list[int]) -> None:
    assert pids
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "the worker outlived its campaign"
        time.sleep(0.05)


@MOSTLY_ONE
def test_interrupt_keeps_finished_rows(tmp_path: Path, overlap: bool) -> None:
    options = replace(FAST, overlap=overlap)

    def interrupt(progress: Progress) -> None:
        if progress.done == 7:
            raise KeyboardInterrupt

    with Store(tmp_path / "s.sqlite", SPACE) as store:
        with pytest.raises(KeyboardInterrupt):
            run_campaign(store, CostModelBackend(), n=20, options=options, report=interrupt)
        assert len(rows(store)) == 7
        assert children(os.getpid()) == []
        run_campaign(store, CostModelBackend(), n=20, options=options)
        assert [row[:2] for row in rows(store) if row[1] < 2] == expected_keys(20)


@MOSTLY_ONE
def test_where_memory_is_short_fewer_are_loaded_together(tmp_path: Path, overlap: bool) -> None:
    order: list[str] = []
    options = CampaignOptions(retest=0, block=6, overlap=overlap, min_free_memory=1.0)
    planned = [task.architecture for task in sampled_tasks(SPACE, 0, 9)]
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        run_campaign(
            store, CostModelBackend(noise=0.01), n=9, options=options,
            report=lambda progress: order.append(progress.architecture),
        )  # fmt: skip
    # One at a time: each is finished before the next one is loaded, in the order of loading.
    blocks_of = (planned[:5], planned[5:])
    loaded = [t for n, b in enumerate(blocks_of) for t in Random(f"load {n}").sample(b, len(b))]
    assert order[1:] == loaded


def test_two_campaigns_do_not_share_a_store(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"

    def second(progress: Progress) -> None:
        with Store(path) as other, pytest.raises(StoreError, match="another campaign"):
            run_campaign(other, CostModelBackend(), n=5, options=FAST)

    with Store(path, SPACE) as store:
        run_campaign(store, CostModelBackend(), n=5, options=FAST, report=second)


ONCE = """
from dataclasses import dataclass
from typing import ClassVar
from latbench.backends.base import Availability, Backend
from latbench.testing import CostModelBackend

@dataclass(frozen=True)
class Once(Backend):
    name: ClassVar[str] = "once"
    simulated: ClassVar[bool] = True
    taken: str = ""
    def availability(self):
        return Availability(True)
    def load(self, model):
        open(self.taken, "x").close()
        return CostModelBackend().load(model)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_where_the_second_worker_does_not_start_the_first_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "once_only.py").write_text(ONCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backend = make_backend("once_only:Once", taken=str(tmp_path / "taken"))
    options = replace(FAST, overlap=True)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        with pytest.raises(BackendError, match="could not time the canary"):
            run_campaign(store, backend, n=2, options=options)
        assert (tmp_path / "taken").exists()
        assert children(os.getpid()) == []


def test_the_campaigns_own_error_is_seen(tmp_path: Path) -> None:
    def closes(progress: Progress) -> None:
        store.close()
        raise KeyError("mine")

    with Store(tmp_path / "s.sqlite", SPACE) as store, pytest.raises(KeyError, match="mine"):
        run_campaign(store, CostModelBackend(), n=2, options=FAST, report=closes)


def test_a_backend_that_is_not_ready_measures_nothing(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "s.sqlite", SPACE) as store,
        pytest.raises(BackendUnavailable, match=r"without CUDA|no CUDA"),
    ):
        run_campaign(store, make_backend("torch-eager", device="cuda"), n=2)


@pytest.mark.parametrize("backend", ["onnxruntime", "torch-eager"])
def test_real_backends_are_measured(tmp_path: Path, backend: str) -> None:
    space = darts(channels=4, cells=3, resolution=8)
    with Store(tmp_path / "s.sqlite", space) as store:
        outcome = run_campaign(store, make_backend(backend), n=3, options=FAST)
        dataset = store.dataset(backend)
    assert outcome.failed == 0
    assert len(dataset) == 3
    assert (dataset.values > 0).all()
    assert dataset.noise_floor is not None
