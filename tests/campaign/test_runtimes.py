"""Campaigns on runtimes that behave oddly, each plugged in from a module of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def _printed(tmp_path: Path, module: str, code: str) -> str:
    """What code says that runs where a module of that source can be imported, as ``plugged``."""
    (tmp_path / "plugged.py").write_text(module)
    code = (
        "import sys\n"
        "from latbench.campaign import CampaignOptions, run_campaign\n"
        "from latbench.backends import make_backend\n"
        "from latbench.store import Store\n"
        "from latbench.spaces import nasbench201\n"
        "store = Store(sys.argv[1], nasbench201(channels=4, cells=1, resolution=8))\n" + code
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.sqlite")],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return result.stdout.split()[-1]


PLUGGED = """
from dataclasses import dataclass
from typing import ClassVar
import os
from latbench.backends.base import Availability, Backend
from latbench.testing.fake import FakeSession
"""


def test_workers_ignore_what_a_runtime_prints(tmp_path: Path) -> None:
    chatty = """
@dataclass(frozen=True)
class Chatty(Backend):
    name: ClassVar[str] = "chatty"
    def availability(self): return Availability(True)
    def load(self, model):
        print("hello"); os.write(1, b"{not json}\\n")
        return FakeSession(model, 1e-3)
"""
    code = "print(run_campaign(store, make_backend('plugged:Chatty'), n=3).measured)"
    assert _printed(tmp_path, PLUGGED + chatty, code) == "6"


@pytest.mark.parametrize("dies", [pytest.param(False, marks=pytest.mark.slow), True])
def test_no_network_is_timed_as_the_last_that_was_loaded(dies: bool, tmp_path: Path) -> None:
    """A runtime whose newest session is faster, as ONNX Runtime's is, biases no row, also when its
    process dies in the middle of a block and the networks are loaded again."""
    newest = f"""
LIVE, DIED = [], os.path.join(os.path.dirname(__file__), "died")
class Session(FakeSession):
    def __init__(self, model):
        super().__init__(model, 1e-3)
        LIVE.append(self)
    def time(self, n):
        if {dies} and len(LIVE) > 9 and not os.path.exists(DIED):
            open(DIED, "w").close()
            os._exit(3)
        return [t // (2 if LIVE[-1] is self else 1) for t in super().time(n)]
    def close(self):
        super().close()
        LIVE.remove(self)
@dataclass(frozen=True)
class Newest(Backend):
    name: ClassVar[str] = "newest"
    def availability(self): return Availability(True)
    def load(self, model): return Session(model)
"""
    code = (
        "run_campaign(store, make_backend('plugged:Newest'), n=12, "
        "options=CampaignOptions(retest=0.5))\n"
        "values = store.dataset().values\n"
        "print(len(values), max(values) / min(values), sep=':')"
    )
    assert _printed(tmp_path, PLUGGED + newest, code) == ("11:1.0" if dies else "12:1.0")


def test_what_is_loaded_first_is_no_more_often_a_first_timing(tmp_path: Path) -> None:
    """A runtime in which each further session is 1 % faster, the canary being the first of all:
    in the plan's order the retests, a quarter of a block behind, would be 10 % shorter."""
    crowded = """
LIVE = []
class Session(FakeSession):
    def __init__(self, model):
        super().__init__(model, 1e-3)
        LIVE.append(self)
        self.share = 0.99 ** len(LIVE)
    def time(self, n):
        return [int(t * self.share) for t in super().time(n)]
    def close(self):
        super().close()
        LIVE.remove(self)
@dataclass(frozen=True)
class Crowded(Backend):
    name: ClassVar[str] = "crowded"
    def availability(self): return Availability(True)
    def load(self, model): return Session(model)
"""
    code = (
        "run_campaign(store, make_backend('plugged:Crowded'), n=72, "
        "options=CampaignOptions(retest=0.5))\n"
        "pairs = 'measurements a JOIN measurements b USING (key) WHERE a.repeat < b.repeat'\n"
        "print(*store._db.execute('SELECT avg(b.relative / a.relative) FROM ' + pairs).fetchone())"
    )
    assert float(_printed(tmp_path, PLUGGED + crowded, code)) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(("n", "workers"), [(20, 1), (60, 2)])
def test_a_worker_that_has_loaded_a_block_is_replaced(n: int, workers: int, tmp_path: Path) -> None:
    """What it has loaded and freed would make the next block another one; a few networks do not."""
    counted = """
@dataclass(frozen=True)
class Counted(Backend):
    name: ClassVar[str] = "counted"
    def availability(self): return Availability(True)
    def load(self, model):
        with open(os.path.join(os.path.dirname(__file__), "pids"), "a") as file:
            print(os.getpid(), file=file)
        return FakeSession(model, 1e-3)
"""
    code = (
        f"options = CampaignOptions(retest=0, block={n // 2}, parity=False)\n"
        f"found = run_campaign(store, make_backend('plugged:Counted'), n={n}, options=options)\n"
        "print(found.failed)"
    )
    assert _printed(tmp_path, PLUGGED + counted, code) == "0"
    assert len(set((tmp_path / "pids").read_text().split())) == workers
