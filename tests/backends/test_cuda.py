from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latbench.backends.cuda import (
    missing_device,
    no_such_device,
    pip_cudnn,
    set_tf32,
    unsupported,
    unusable_device,
)
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


P100, V100, T4, H100 = (6, 0), (7, 0), (7, 5), (9, 0)


@pytest.mark.parametrize(
    ("library", "version", "runs_on"),
    [
        ("onnxruntime", "1.17.1", (P100, V100, T4, H100)),
        ("onnxruntime", "1.26.0", (P100, V100, T4, H100)),
        ("onnxruntime", "1.27.0", (T4, H100)),
        ("onnxruntime", "1.100.0", (T4, H100)),
        ("onnxruntime", "2.0", (T4, H100)),
        ("cudnn", "8.9.7.29", (P100, V100, T4, H100)),
        ("cudnn", "9.10.2.21", (P100, V100, T4, H100)),
        ("cudnn", "9.11.0.98", (T4, H100)),
        ("triton", "3.3.1", (V100, T4, H100)),
        ("triton", "2.0.0", (V100, T4, H100)),
    ],
)
def test_which_version_has_code_for_which_gpu(
    library: str, version: str, runs_on: tuple[tuple[int, int], ...]
) -> None:
    for capability in (P100, V100, T4, H100):
        reason, remedy = unsupported(library, version, capability)
        assert (reason == "") == (remedy == "") == (capability in runs_on)


def test_an_unsupported_gpu_is_explained() -> None:
    reason, remedy = unsupported("onnxruntime", "1.32.0", P100)
    assert reason == "onnxruntime 1.32.0 needs compute capability 7.5, this GPU has 6.0"
    assert "1.26.0 is the last one on PyPI" in remedy
    assert "docs/p100.md" in remedy
    assert "torch.compile" in unsupported("triton", "3.5.0", P100)[1]


def test_the_pins_of_the_p100_have_code_for_it() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    found = re.search(r"^p100 = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert found
    (runtime,) = re.findall(r"onnxruntime-gpu==([\d.]+)", found[1])
    assert unsupported("onnxruntime", runtime, P100) == ("", "")
    (bound,) = re.findall(r"nvidia-cudnn-cu12<([\d.]+)", found[1])
    assert unsupported("cudnn", bound, P100)[0]
    assert "torch==2.7.1" in found[1]


def test_the_first_library_that_has_no_code_is_named(with_p100: Callable[..., Any]) -> None:
    code = (
        "import json; from latbench.backends.cuda import unusable_device as u\n"
        "print(json.dumps([u(0, {'onnxruntime': '1.26.0', 'cudnn': '9.14.0'}),"
        " u(0, {'onnxruntime': '1.26.0', 'cudnn': '9.10.2'}), u(0, {}), u(1, {})]))"
    )
    dropped, fine, nothing, missing = with_p100(code)
    assert dropped[0] == "cudnn 9.14.0 needs compute capability 7.5, this GPU has 6.0"
    assert fine == nothing == ["", ""]
    assert "there is no CUDA device 1, the driver shows 1" in missing[0]


def test_a_driver_that_does_not_start_is_explained(with_p100: Callable[..., Any]) -> None:
    code = (
        "import json; from latbench.backends.cuda import unusable_device as u\n"
        "print(json.dumps(u(0, {'onnxruntime': '1.26.0'})))"
    )
    reason, remedy = with_p100(code, init=100)
    assert reason == "the NVIDIA driver finds no usable GPU (cuInit returned 100)"
    assert "driver" in remedy


def test_without_a_gpu_the_libraries_do_not_matter() -> None:
    assert unusable_device(1000, {"triton": "3.0"}) == missing_device(1000)


def test_cudnn_is_the_one_that_pip_installed() -> None:
    assert set(pip_cudnn()) <= {"cudnn"}


def test_tf32_cannot_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")  # so that it is restored, whatever happens
    set_tf32(True)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"
    set_tf32(False)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    with pytest.raises(BackendError, match="new process"):
        set_tf32(True)
