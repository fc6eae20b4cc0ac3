"""Campaigns take turns on a device: the host is one, and each GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, Progress, run_campaign
from latbench.spaces import nasbench201
from latbench.store import Store

ROOT = Path(__file__).resolve().parents[2]
SPACE = nasbench201(channels=4, cells=1, resolution=8)
REAL = """
from dataclasses import dataclass
from typing import ClassVar
from latbench.backends.base import Availability, Backend
from latbench.testing import CostModelBackend

@dataclass(frozen=True)
class Real(Backend):
    name: ClassVar[str] = "real"
    def availability(self):
        return Availability(True)
    def load(self, model):
        return CostModelBackend().load(model)
"""
HOLDER = """
import sys
from latbench.locks import turn
with turn("campaign-cpu"):
    print("in", flush=True)
    sys.stdin.readline()
"""


def test_campaigns_take_turns_on_a_device_until_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real_backend.py").write_text(REAL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if progress.waiting:
            assert other.poll() is None
            other.kill()

    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other,
        Store(tmp_path / "s.sqlite", SPACE) as store,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        backend, options = make_backend("real_backend:Real"), CampaignOptions(retest=0)
        outcome = run_campaign(store, backend, n=1, options=options, report=report)
    assert [progress.waiting for progress in seen] == [True, *[False] * (len(seen) - 1)]
    assert outcome.measured == seen[-1].done == 1
    assert outcome.seconds >= outcome.start_seconds > 0


def test_each_gpu_is_a_device_and_the_host_is_one(with_p100: Callable[..., Any]) -> None:
    code = """
import json
from latbench.backends import make_backend
from latbench.campaign.campaign import timed_on
from latbench.testing import CostModelBackend
print(json.dumps([timed_on(CostModelBackend()), *(timed_on(make_backend(name, **options)) for
    name, options in [("torch-eager", {}), ("onnxruntime", {"threads": 1}),
    *(("torch-eager", {"device": "cuda", "device_id": i}) for i in (0, 1)),
    ("onnxruntime", {"provider": "cuda"}), ("tensorrt", {"device_id": 1})])]))
"""
    first, second = "0000:3B:00.0", "0000:5E:00.0"
    found = with_p100(code, gpus=2)
    assert found == [None, "cpu", "cpu", first, second, first, second]
