"""Every backend does the same work, at any batch size: its outputs are torch's in float32."""

from __future__ import annotations

from typing import Any

import pytest
from loading import as_model

from latbench.backends import BUILT_IN, availability_of, make_backend
from latbench.backends.precision import TOLERANCES, Precision, rounding_of
from latbench.export.parity import Rounding, reference_outputs, relative_error
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Pool,
)


def network(batch: int) -> Network:
    """A residual block with a depthwise convolution, a pooled branch and a classifier."""
    b = NetworkBuilder((batch, 3, 9, 9))
    stem = b.add(Activation("relu"), b.add(BatchNorm(), b.add(Conv(8, 3, padding=1), b.input)))
    deep = b.add(Conv(8, 1), b.add(Conv(8, 3, padding=1, groups=8), stem))
    total = b.add(Elementwise("add"), stem, b.add(BatchNorm(), deep))
    pooled = b.add(Pool("max", 3, 1, 1), total)
    both = b.add(Concat(), pooled, total)
    return b.build(b.add(Linear(10), b.add(Flatten(), b.add(GlobalAvgPool(), both))))


def error_of(name: str, batch: int, **options: Any) -> float:
    """The backend's relative error; skips when it cannot run here."""
    backend = make_backend(name, **options)
    found = availability_of(backend)
    if not found.ready:
        pytest.skip(f"{name} is not ready: {found.reason}")
    built = network(batch)
    with backend.load(as_model(built)) as session:
        session.run()
        got = session.outputs()
    assert got.shape == (batch, 10)
    return relative_error(got, reference_outputs(built))


# Compiled in half a minute each; the conformance suite compares their outputs, too.
COMPILED = ("executorch", "torch-compile")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in COMPILED)) for n in BUILT_IN]
)
def test_a_batch_of_three_agrees_with_torch(name: str) -> None:
    assert error_of(name, batch=3) <= 1e-4


@pytest.mark.parametrize("batch", [2, 16])
@pytest.mark.parametrize("name", ["onnxruntime", "torch-eager"])
def test_other_batches_agree_with_torch(name: str, batch: int) -> None:
    assert error_of(name, batch) <= 1e-4


REDUCED = [
    ("torch-eager", {"precision": "bfloat16"}, "bfloat16"),
    ("torch-eager", {"precision": "float16"}, "float16"),
    pytest.param("torch-compile", {"precision": "bfloat16"}, "bfloat16", marks=pytest.mark.slow),
    ("onnxruntime", {"provider": "openvino", "precision": "bfloat16"}, "bfloat16"),
]


@pytest.mark.parametrize(("name", "options", "precision"), REDUCED)
def test_reduced_precision_is_real_and_within_its_tolerance(
    name: str, options: dict[str, Any], precision: Rounding
) -> None:
    backend = make_backend(name, **options)
    assert (backend.rounding, backend.tolerance) == (precision, TOLERANCES[precision])
    error = error_of(name, 3, **options)
    assert error <= TOLERANCES[precision]
    assert error > 1e-5, "it computed in float32"


@pytest.mark.parametrize("name", ["onnxruntime", "torch-eager", "torch-compile"])
def test_float32_is_the_default_and_has_the_tight_tolerance(name: str) -> None:
    assert make_backend(name).tolerance == 1e-4
    assert make_backend(name, tf32=True).tolerance == 1e-4, "TF32 exists on a GPU only"


def test_tolerances_grow_as_bits_fall() -> None:
    cases: list[tuple[Precision, bool]] = [
        ("float32", False), ("float32", True), ("float16", False), ("bfloat16", True),
    ]  # fmt: skip
    roundings = [rounding_of(precision, tf32) for precision, tf32 in cases]
    assert roundings == ["float32", "tf32", "float16", "bfloat16"]
    assert [TOLERANCES[r] for r in roundings] == [1e-4, 1e-2, 1e-2, 5e-2]
