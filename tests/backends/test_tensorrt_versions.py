from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from latbench.backends.tensorrt_versions import (
    Precision,
    builder_flags,
    members,
    missing_precision,
    network_flag_names,
    network_flags,
    release,
    tactic_bits,
    unusable,
)
from latbench.errors import BackendError

# The names that matter, as the wheels of 8.6.1, 10.0.1 and 11.4.0 have them, with their values.
NETWORK = {
    "8.6": {"EXPLICIT_BATCH": 0, "EXPLICIT_PRECISION": 1},
    "10.0": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "11.4": {"STRONGLY_TYPED": 0, "PREFER_AOT_PYTHON_PLUGINS": 1, "PREFER_JIT_PYTHON_PLUGINS": 2},
}
BUILDER = {
    "8.6": ["FP16", "INT8", "TF32"],
    "10.0": ["FP16", "BF16", "INT8", "TF32"],
    "11.4": ["DEBUG", "TF32"],
}
TACTICS = {
    "10.0": {"CUBLAS": 0, "CUBLAS_LT": 1, "CUDNN": 2, "EDGE_MASK_CONVOLUTIONS": 3,
             "JIT_CONVOLUTIONS": 4},
    "11.4": {"EDGE_MASK_CONVOLUTIONS": 0, "JIT_CONVOLUTIONS": 1},
}  # fmt: skip
DEFAULT = ("edge_mask_convolutions", "jit_convolutions")


@pytest.mark.parametrize(
    ("version", "names", "bits"),
    [
        ("8.6", ["EXPLICIT_BATCH"], 1),
        ("10.0", ["EXPLICIT_BATCH", "STRONGLY_TYPED"], 3),
        ("11.4", ["STRONGLY_TYPED"], 1),
    ],
)
def test_a_network_is_explicit_and_typed_where_that_can_be_said(
    version: str, names: list[str], bits: int
) -> None:
    assert network_flag_names(NETWORK[version]) == names
    module = SimpleNamespace(
        NetworkDefinitionCreationFlag=SimpleNamespace(__members__=NETWORK[version])
    )
    assert network_flags(module) == bits


def test_a_release_without_the_flags_needs_none() -> None:
    assert network_flags(SimpleNamespace()) == 0
    assert members(SimpleNamespace(), "PreviewFeature") == {}


@pytest.mark.parametrize("version", NETWORK)
@pytest.mark.parametrize("precision", ["float32", "tf32", "float16"])
def test_precision_is_a_flag_only_where_the_network_is_not_typed(
    version: str, precision: Precision
) -> None:
    expected: dict[str, bool] = {"TF32": precision == "tf32"}
    if precision == "float16" and version == "8.6":
        expected["FP16"] = True
    assert builder_flags(precision, NETWORK[version], BUILDER[version]) == expected


@pytest.mark.parametrize(("version", "bits"), [("10.0", 0b11000), ("11.4", 0b11)])
def test_the_default_tactics_exist_in_every_release(version: str, bits: int) -> None:
    assert tactic_bits(DEFAULT, TACTICS[version]) == bits
    assert tactic_bits((), TACTICS[version]) == 0


def test_a_tactic_source_that_a_release_dropped_is_refused() -> None:
    assert tactic_bits(["cublas", "cudnn"], TACTICS["10.0"]) == 0b101
    with pytest.raises(BackendError, match="'cudnn', only edge_mask_convolutions, jit_conv"):
        tactic_bits(["cudnn"], TACTICS["11.4"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8.6.1", (8, 6)), ("10.16.1.11", (10, 16)), ("11.4.0.106", (11, 4)), ("", (0, 0))],
)
def test_releases(text: str, expected: tuple[int, int]) -> None:
    assert release(text) == expected


@pytest.mark.parametrize(
    ("version", "capability", "reason"),
    [
        ("8.6.1", (6, 0), ""),
        ("8.6.1", (9, 0), ""),
        ("10.0.1", (6, 0), "6.0; TensorRT 8.6.1 is the last for compute capability 6.x"),
        ("11.4.0.106", (6, 1), "6.1; TensorRT 8.6.1 is the last for compute capability 6.x"),
        ("10.4.0", (7, 0), ""),
        ("10.5.0", (7, 0), "TensorRT 10.4 is the last for compute capability 7.0"),
        ("11.4.0.106", (7, 5), ""),
        ("8.5.3", (8, 0), "TensorRT 8.5.3 is too old"),
        ("unknown", (8, 0), "is too old"),
    ],
)
def test_which_release_serves_which_gpu(
    version: str, capability: tuple[int, int], reason: str
) -> None:
    found, remedy = unusable(version, capability)
    assert bool(found) == bool(remedy) == bool(reason)
    assert reason in found


def test_tf32_is_not_promised_where_there_is_none() -> None:
    assert "6.0 has no TF32" in missing_precision("tf32", (6, 0))[0]
    others: list[tuple[Any, tuple[int, int]]] = [
        ("tf32", (8, 0)), ("float32", (6, 0)), ("float16", (6, 0)),
    ]  # fmt: skip
    assert [missing_precision(*other) for other in others] == [("", "")] * 3
