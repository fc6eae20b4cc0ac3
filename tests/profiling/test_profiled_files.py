"""Profiles of networks from outside: ONNX files as they are, several inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from general_cases import detector, model_of, transformer
from onnx_texts import CHAIN, HALF, QUANTISED
from onnx_texts import model_of as file_model

from latbench.backends import Backend, load_model, make_backend
from latbench.export.kernel_layers import KernelTime, check_kernels
from latbench.models import Model, read_model, save_model
from latbench.profiling import ProfileRuns, profile_network
from latbench.testing.networks import several_inputs

RUNTIMES = {
    "onnxruntime": "onnxruntime", "openvino": "openvino", "ncnn": "ncnn",
    "torch-eager": "torch", "simd-sparse": "numpy",
}  # fmt: skip
OUTSIDE = {
    "chain": file_model(CHAIN), "half": file_model(HALF), "several": several_inputs(),
    "transformer": model_of(transformer()), "detector": model_of(detector()),
}  # fmt: skip


def ready(name: str) -> Backend:
    pytest.importorskip(RUNTIMES[name])
    backend = make_backend(name, tune=False) if name == "simd-sparse" else make_backend(name)
    if not (found := backend.availability()).ready:
        pytest.skip(found.reason)
    return backend


def kernels(backend: Backend, model: Model) -> list[KernelTime]:
    with load_model(backend, model) as session:
        session.run()
        found = session.profile(1)
    check_kernels(model.network, found)
    return found


@pytest.mark.parametrize("network", OUTSIDE)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_layer_is_in_a_kernel(runtime: str, network: str) -> None:
    if (runtime, network) == ("ncnn", "several"):
        pytest.skip("ncnn has no truth values")
    assert kernels(ready(runtime), OUTSIDE[network])


def test_onnx_runtime_tells_the_names_of_a_file() -> None:
    found = kernels(ready("onnxruntime"), OUTSIDE["chain"])
    told = {k.name.removesuffix("_nchwc"): k.layers for k in found if k.layers}
    assert told == {
        "Conv on": (1, 2), "GlobalAveragePool pooled": (3,), "Flatten scores": (4,)
    }  # fmt: skip
    half = {k.name.removesuffix("_nchwc"): k.layers for k in kernels(
        ready("onnxruntime"), OUTSIDE["half"])}  # fmt: skip
    assert half["Conv on"] == (2, 3)  # whose name ONNX Runtime writes behind one of its own
    assert half["Cast"] == ()


def test_onnx_runtime_tells_operators_that_it_finds_in_several() -> None:
    model = OUTSIDE["transformer"]
    found = {k.name: k.layers for k in kernels(ready("onnxruntime"), model)}
    (gelu,) = [i for i, layer in enumerate(model.network.layers) if "gelu" in str(layer.op)]
    assert gelu in next(layers for name, layers in found.items() if "Gelu" in name)


def test_operators_that_are_no_layer_kind_have_kernels() -> None:
    found = kernels(ready("onnxruntime"), file_model(QUANTISED))
    conv = next(k for k in found if "Conv" in k.name)
    assert 5 in conv.layers


def test_a_file_is_profiled_as_it_is_and_so_is_what_was_saved(tmp_path: Path) -> None:
    model = OUTSIDE["several"]
    save_model(model, tmp_path / "m")
    backend, few = ready("onnxruntime"), ProfileRuns(visits=1, runs=1)
    first, again = (profile_network(m, backend, few) for m in (model, read_model(tmp_path / "m")))
    assert [(k.name, k.layers) for k in first.kernels] == [
        (k.name, k.layers) for k in again.kernels
    ]
    assert any("told" in k.name for k in first.kernels)
