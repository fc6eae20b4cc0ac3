"""Fleets on a real Ray cluster on this machine, whose processes and nodes really die."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray", reason="the fleet's tests need Ray: pip install 'latbench[ray]'")

from latbench.backends import make_backend
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, Progress
from latbench.campaign.plan import blocks, sampled_tasks
from latbench.device import host_name
from latbench.errors import BackendError, StoreError, UsageError
from latbench.fleet import FleetOutcome, run_fleet
from latbench.spaces import nasbench201
from latbench.store import Store

SPACE = nasbench201(channels=4, cells=1, resolution=8)
OPTIONS = CampaignOptions(retest=0.2, block=6)
Nodes = Callable[..., list[Any]]


def backend(load_s: float = 0.0) -> Backend:
    return make_backend("fleet_backend:NodeBackend", load_s=load_s)


def run(path: Path, cluster: Any, n: int, load_s: float = 0.0, **options: Any) -> FleetOutcome:
    with Store(path, SPACE) as store:
        return run_fleet(
            store, backend(load_s), cluster.address, n=n, options=OPTIONS, **options
        )  # fmt: skip


def keys(n: int) -> set[tuple[str, int]]:
    tasks = sampled_tasks(SPACE, 0, n)
    return {t.key for block in blocks(tasks, OPTIONS.block, OPTIONS.retest) for t in block}


def rows(store: Store, set_id: int) -> set[tuple[str, int]]:
    return set(
        store.connection.execute(
            "SELECT architecture, repeat FROM measurements WHERE set_id = ?", (set_id,)
        )
    )


def complete_sets(path: Path, n: int) -> list[str]:
    """Device names of the sets, each of which has every row of the plan and none failed. That a
    row is there once is the store's primary key, which a second one would break."""
    with Store(path) as store:
        for summary in store.sets():
            assert rows(store, summary.id) == keys(n)
            assert (summary.ok, summary.failed) == (n, 0)
        return sorted(summary.set.device for summary in store.sets())


def is_actor(process: psutil.Process) -> bool:
    try:
        names = [*process.cmdline()[:1], process.name()]
    except psutil.NoSuchProcess:  # it ended since it was listed, as a zombie has
        return False
    return any(name.startswith("ray::Device") for name in names)


def actors() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if is_actor(p)]


@pytest.mark.slow  # 18 s; the killed process shares it, too
def test_devices_of_one_model_share_the_sample(tmp_path: Path, ray_head: Any, nodes: Nodes) -> None:
    nodes("a", "a")
    path = tmp_path / "s.sqlite"
    workers: set[int] = set()

    def watch(progress: Progress) -> None:
        workers.update(p.pid for p in actors() if p.children())
        if progress.done == 10:
            with Store(path) as other, pytest.raises(StoreError, match="another campaign"):
                run_fleet(other, backend(), ray_head.address, n=5)

    first = run(path, ray_head, 30, 0.02, report=watch)
    assert complete_sets(path, 30) == ["a"]
    with Store(path) as store:
        hosts = store.connection.execute("SELECT DISTINCT host FROM measurements").fetchall()
    assert hosts == [(host_name(),)]  # all nodes of this cluster are on one machine
    assert len(workers) == 2
    assert first.measured == len(keys(30)) == sum(first.rows_by_host.values())
    again = run(path, ray_head, 30, 0.02)
    assert (again.measured, again.already_there) == (0, len(keys(30)))


def test_a_killed_process_loses_nothing(tmp_path: Path, ray_head: Any, nodes: Nodes) -> None:
    nodes("a", "a")
    lost: list[str] = []

    def strike(progress: Progress) -> None:
        if progress.done == 10:
            actors()[0].kill()

    path = tmp_path / "s.sqlite"
    run(path, ray_head, 60, 0.1, report=strike, notice=lost.append)
    assert complete_sets(path, 60) == ["a"]
    assert len(lost) == 1


@pytest.mark.slow  # a minute; a killed process is lost in the default suite
def test_a_lost_node_loses_nothing(tmp_path: Path, ray_head: Any, nodes: Nodes) -> None:
    first, _ = nodes("a", "a")
    lost: list[str] = []

    def strike(progress: Progress) -> None:
        if progress.done == 10:
            first.kill_raylet()
            first.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)

    path = tmp_path / "s.sqlite"
    run(path, ray_head, 60, 0.1, report=strike, notice=lost.append)
    assert complete_sets(path, 60) == ["a"]
    assert lost


@pytest.mark.slow  # 17 s
def test_different_devices_fill_different_sets(tmp_path: Path, ray_head: Any, nodes: Nodes) -> None:
    nodes("a", "b", "broken")
    lost: list[str] = []
    outcome = run(tmp_path / "s.sqlite", ray_head, 12, notice=lost.append)
    assert complete_sets(tmp_path / "s.sqlite", 12) == ["a", "b"]
    assert len(outcome.set_ids) == 2
    assert len(lost) == 1
    assert "it is broken" in lost[0]


@pytest.mark.slow
def test_a_fleet_that_loses_every_device_says_so_and_goes_on_later(
    tmp_path: Path, ray_head: Any, nodes: Nodes
) -> None:
    (only,) = nodes("a")

    def strike(progress: Progress) -> None:
        if progress.done == 5:
            ray_head.remove_node(only, allow_graceful=False)

    path = tmp_path / "s.sqlite"
    with pytest.raises(BackendError, match="the same command goes on"):
        run(path, ray_head, 20, 0.05, report=strike)
    with Store(path) as store:
        assert 5 <= len(rows(store, 1)) < len(keys(20))
    nodes("a")
    run(path, ray_head, 20, 0.05)
    assert complete_sets(path, 20) == ["a"]


def test_a_cluster_without_devices_or_with_broken_ones(
    tmp_path: Path, ray_head: Any, nodes: Nodes
) -> None:
    with pytest.raises(UsageError, match="--resources"):
        run(tmp_path / "s.sqlite", ray_head, 5)
    nodes("broken")
    with pytest.raises(BackendError, match=r"could start: .*it is broken"):
        run(tmp_path / "s.sqlite", ray_head, 5)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("127.0.0.1:1", "no Ray cluster answers at"), ("ray://x", "is not the address of a Ray")],
)
def test_no_cluster_is_one_sentence_and_exit_code_2(
    address: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from latbench.cli.app import run as command

    monkeypatch.chdir(tmp_path)
    arguments = ["measure", "--backend", "latbench.testing.fake:CostModelBackend", "-n", "2"]
    monkeypatch.setattr(sys, "argv", ["latbench", *arguments, "--ray", address])
    with pytest.raises(SystemExit) as stop:
        command()
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    *bar, last = errors.strip().splitlines()
    assert sentence in last
    assert len(bar) <= 1
