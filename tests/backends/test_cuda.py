from __future__ import annotations

import os

import pytest

from latbench.backends.cuda import missing_device, no_such_device, set_tf32
from latbench.errors import BackendError


def test_a_device_that_exists_is_not_missing() -> None:
    assert no_such_device(1, count=2) == ("", "")


def test_a_missing_device_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    reason, remedy = no_such_device(1, count=1)
    assert "no CUDA device 1, the driver shows 1" in reason
    assert "CUDA_VISIBLE_DEVICES is '3'" in reason
    assert remedy == "choose device_id below 1"
    assert "driver" in no_such_device(0, count=0)[1]


def test_a_machine_without_that_many_gpus_has_a_reason() -> None:
    reason, remedy = missing_device(1000)
    assert reason
    assert remedy


def test_tf32_cannot_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")  # so that it is restored, whatever happens
    set_tf32(True)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"
    set_tf32(False)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    with pytest.raises(BackendError, match="new process"):
        set_tf32(True)
