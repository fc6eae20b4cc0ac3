from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.backends import backend_class, make_backend, option_types, options_of
from latbench.errors import UsageError
from latbench.testing import FakeBackend

ONNX = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.sampled_from(["cpu", "cuda", "tensorrt", "openvino"]),
        "threads": st.integers(1, 512),
        "spinning": st.booleans(),
        "graph_optimization": st.sampled_from(["disabled", "basic", "extended", "all"]),
        "device_id": st.integers(0, 7),
        "cudnn_conv_algo_search": st.sampled_from(["exhaustive", "heuristic", "default"]),
        "cudnn_conv_use_max_workspace": st.booleans(),
        "tf32": st.booleans(),
        "denormals_as_zero": st.booleans(),
        "cpu_arena": st.booleans(),
        "mem_pattern": st.booleans(),
        "cuda_arena": st.sampled_from(["next_power_of_two", "same_as_requested"]),
        "trt_builder_optimization_level": st.integers(0, 5),
        "trt_timing_cache_path": st.text(max_size=5),
    },
)
TORCH = st.fixed_dictionaries(
    {},
    optional={
        "device": st.sampled_from(["cpu", "cuda"]),
        "threads": st.integers(1, 512),
        "channels_last": st.booleans(),
        "precision": st.sampled_from(["float32", "bfloat16", "float16"]),
        "device_id": st.integers(0, 7),
        "cudnn_benchmark": st.booleans(),
        "tf32": st.booleans(),
    },
)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers())


@settings(deadline=None)
@given(
    st.one_of(
        st.tuples(st.just("onnxruntime"), ONNX),
        st.tuples(st.sampled_from(["torch-eager", "torch-compile"]), TORCH),
    )
)
def test_options_survive_json(case: tuple[str, dict[str, Any]]) -> None:
    name, given_options = case
    backend = make_backend(name, **given_options)
    options = options_of(backend)
    assert options.items() >= given_options.items()
    assert list(options) == list(option_types(backend_class(name)))
    assert make_backend(name, **json.loads(json.dumps(options))) == backend


@settings(deadline=None)
@given(st.sampled_from(["onnxruntime", "torch-eager", "torch-compile"]), SCALARS)
def test_only_positive_integers_are_thread_counts(name: str, value: object) -> None:
    if type(value) is int and value >= 1:
        backend: Any = make_backend(name, threads=value)
        assert backend.threads == value
    else:
        with pytest.raises(UsageError, match="threads"):
            make_backend(name, threads=value)


@settings(deadline=None)
@given(SCALARS.filter(lambda value: not isinstance(value, bool)))
def test_a_switch_takes_only_booleans(value: object) -> None:
    with pytest.raises(UsageError, match="'spinning' of backend 'onnxruntime' must be bool"):
        make_backend("onnxruntime", spinning=value)


@pytest.mark.parametrize("value", [object(), {1}, float("nan"), b"\xff"])
def test_what_json_cannot_hold_is_no_option(value: object) -> None:
    with pytest.raises(UsageError, match="base_s"):
        make_backend("latbench.testing.fake:CostModelBackend", base_s=value)


def test_an_unknown_option_lists_the_valid_ones_with_their_types() -> None:
    with pytest.raises(UsageError) as caught:
        make_backend("onnxruntime", thread=4)
    message = str(caught.value)
    assert "no option 'thread'; did you mean 'threads'? it has" in message
    assert "or 'tensorrt' or 'openvino', threads: int, spinning: bool" in message


def test_a_missing_option_is_named() -> None:
    with pytest.raises(UsageError, match="latency_of"):
        make_backend("latbench.testing.fake:FakeBackend")


def test_an_option_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(UsageError, match=r"'latency_of' of backend 'fake'.*cannot be stored"):
        options_of(FakeBackend(lambda network: 1.0))


@pytest.mark.parametrize("name", ["onnxruntime", "torch-eager", "torch-compile"])
@pytest.mark.parametrize(("option", "value"), [("threads", 0), ("device_id", -1)])
def test_ranges(name: str, option: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{option} must be at least"):
        make_backend(name, **{option: value})
