"""What a model is, and that everything made of it has its own weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from loading import as_model
from strategies import networks

from latbench.errors import UsageError
from latbench.models import Model, is_model_text
from latbench.networks.network import Network
from latbench.networks.weights import make_input, make_weights
from latbench.spaces import darts
from latbench.testing.networks import conv_chain

TINY = conv_chain(layers=2, channels=4, resolution=6)


def test_a_model_is_known_by_its_name_network_and_given_weights() -> None:
    given, other = (make_weights(TINY, seed) for seed in (0, 1))
    texts = {
        str(Model("a", TINY)), str(Model("b", TINY)), str(Model("a", TINY, given)),
        str(Model("a", TINY, other)), str(Model("a", conv_chain(3, 4, 6))),
    }  # fmt: skip
    assert len(texts) == 5
    assert Model("a", TINY, other) == Model("a", TINY, {n: a.copy() for n, a in other.items()})
    assert Model("a", TINY) != Model("a", TINY, other)
    assert len({Model("a", TINY), Model("a", TINY)}) == 1
    assert all(map(is_model_text, texts))


def test_the_text_of_an_architecture_is_not_a_models() -> None:
    space = darts()
    assert not is_model_text(str(space.reference()))
    assert not is_model_text("@0123456789abcdef")
    assert not is_model_text("mine@0123456789ABCDEF")


def test_the_digest_is_the_same_for_ever() -> None:
    """A store keeps it; another one would measure everything again."""
    assert as_model(TINY).digest == "f36962316e09be10"
    assert Model("x", TINY, {n: np.ones_like(a) for n, a in make_weights(TINY).items()}).digest == (
        "7d9c4e9b94611f1b"
    )


def test_weights_must_be_the_networks() -> None:
    weights = make_weights(TINY)
    with pytest.raises(UsageError, match=r"the weights lack '1\.weight'"):
        Model("a", TINY, {})
    with pytest.raises(UsageError, match="'more' that its network does not have"):
        Model("a", TINY, {**weights, "more": np.zeros(1, np.float32)})
    with pytest.raises(UsageError, match="float64"):
        Model("a", TINY, {**weights, "1.weight": weights["1.weight"].astype(np.float64)})


@settings(deadline=None, max_examples=20)
@given(networks(max_layers=5))
def test_what_is_made_of_it_has_its_weights(network: Network) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = Model("a", network, make_weights(network, seed=3))
    np.testing.assert_array_equal(model.input(), make_input(network))
    module = model.torch()
    for name, array in module.weights().items():
        np.testing.assert_array_equal(array, model.arrays[name])
    with torch.no_grad():
        expected = module(torch.from_numpy(model.input())).numpy()
    made = model.onnx()
    onnx.checker.check_model(made)
    (got,) = ReferenceEvaluator(made).run(None, {"input": model.input()})
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max() + 1e-6)


def test_a_module_is_nobody_elses() -> None:
    model = as_model(TINY)
    model.torch().half()
    assert next(model.torch().parameters()).dtype == torch.float32


def test_without_weights_they_are_the_invented_ones() -> None:
    invented = make_weights(TINY)
    for name, array in as_model(TINY).arrays.items():
        np.testing.assert_array_equal(array, invented[name])
