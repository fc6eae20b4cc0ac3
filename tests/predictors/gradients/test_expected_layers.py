"""Expected layers: against the encoding of every network of a space, weighed by its odds, and what
they make of predictors that are sums over layers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from own_spaces import Joined, small_blocks

from latbench.encodings import encoding_of
from latbench.encodings.layers import LayerTable, unpack_layers
from latbench.errors import UsageError
from latbench.predictors import make_predictor
from latbench.predictors.gradients.expected_layers import ExpectedLayers
from latbench.predictors.gradients.layer_terms import layer_terms, why_no_sum
from latbench.predictors.model import LatencyModel
from latbench.search import LatencyPenalty, SearchConfig, parse_method, search
from latbench.search.images.images import ImageData
from latbench.spaces import SPACES, AnySpace, darts, make_space, nasbench201
from latbench.spaces.chains.chain import ChainSpace
from latbench.store.dataset import LatencyDataset

CHAINS = [name for name in SPACES if isinstance(make_space(name), ChainSpace)]
SUMS = ("ridge-layers", "lookup", "roofline")


@cache
def small(name: str) -> AnySpace:
    return make_space(name, dict(make_space(name).small))


def encoded(space: AnySpace, architectures: list[Any]) -> LayerTable:
    networks = [space.build(a) for a in architectures]
    return unpack_layers(
        encoding_of("layers").encode(space, architectures, networks).astype(np.float64)
    )


def expected(space: AnySpace, weights: npt.NDArray[np.float32]) -> LayerTable:
    return unpack_layers(ExpectedLayers(space)(torch.from_numpy(weights)).double().numpy())


@pytest.mark.parametrize("name", CHAINS)
def test_of_one_architecture_they_are_its_encoding(name: str) -> None:
    space = small(name)
    architectures = [space.sample(3, i) for i in range(12)]
    found = expected(space, space.columns.weights([a.code for a in architectures]))
    wanted = encoded(space, architectures)
    for field in ("counts", "repeated", "fusible", "group"):
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field), field)
    there = wanted.counts > 0
    for field in ("macs", "bytes_moved"):
        np.testing.assert_array_equal(getattr(found, field)[there], getattr(wanted, field)[there])


def test_they_are_the_mean_over_all_networks() -> None:
    """Of widths, depths, operations and the resolution, each with odds of its own."""
    space = small_blocks(in_channels=1, classes=10, stages=2, blocks=("k3e3", "k3e3se"))
    forest, stream = space.forest, torch.Generator().manual_seed(0)
    rows = [torch.softmax(torch.randn(len(v.options), generator=stream), 0)
            for v in forest.variables]  # fmt: skip
    odds = torch.cat(rows).numpy()
    every = [space.unrank(i) for i in range(space.size)]
    p = np.array([
        np.prod([odds[forest.offsets[i] + v] for i, v in enumerate(a.code) if v >= 0])
        for a in every
    ])  # fmt: skip
    assert p.sum() == pytest.approx(1, rel=1e-4)
    assert len(every) > 500
    found, table = expected(space, odds[None]), encoded(space, every)
    for field in ("counts", "repeated", "fusible"):
        by_hand = p @ getattr(table, field)
        np.testing.assert_allclose(getattr(found, field)[0], by_hand, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (darts(), "it chooses sets"),
        (Joined(), "it chooses sets"),
        (nasbench201(), "the number of terms of a sum depends on options"),
    ],
)
def test_other_spaces_have_no_such_layers(space: AnySpace, why: str) -> None:
    assert why in (why_no_sum(space) or "")
    with pytest.raises(UsageError, match=why):
        layer_terms(space)
    assert not make_predictor("ridge-layers").guides(space)
    assert make_predictor("ridge-counts").guides(space)


@pytest.mark.parametrize("name", CHAINS)
def test_predictors_that_are_sums_over_layers_can_guide_a_search(name: str) -> None:
    more = {"depths": (1, 2, 3)} if name == "resnet" else {}  # it has 16 networks else
    space = make_space(name, dict(make_space(name).small) | more)
    assert why_no_sum(space) is None
    sample = tuple(a for _, a in space.unique_samples(0, 36))
    networks = [space.build(a) for a in sample]
    cost = np.array([1e-4 + 1e-10 * n.macs + 1e-6 * len(n.layers) for n in networks])
    data = LatencyDataset(space, sample[:24], cost[:24], "fake", "nowhere")
    for predictor in SUMS:
        made = make_predictor(predictor)
        assert made.guides(space)
        model = LatencyModel.fit(data, made)
        x = torch.from_numpy(np.stack([space.one_hot(a) for a in sample])).requires_grad_()
        values = model.as_module()(x)
        np.testing.assert_allclose(values.detach().numpy(), model.predict(sample), rtol=2e-4)
        (gradient,) = torch.autograd.grad(values.sum(), x)
        assert torch.isfinite(gradient).all()
        # Of a table that few rows fit, most layers cost nothing.
        assert (gradient != 0).float().mean() > (0.05 if predictor == "lookup" else 0.2)
    with pytest.raises(UsageError, match="gives no deviation"):
        model.as_module(deviations=1.0)


@pytest.mark.parametrize("predictor", SUMS)
def test_in_other_spaces_they_say_where_they_cannot(predictor: str) -> None:
    space = nasbench201(channels=4, cells=1, resolution=8)
    sample = tuple(a for _, a in space.unique_samples(0, 20))
    macs = np.array([float(space.build(a).macs) for a in sample])
    data = LatencyDataset(space, sample, 1e-3 + 1e-9 * macs, "fake", "nowhere")
    model = LatencyModel.fit(data, make_predictor(predictor))
    with pytest.raises(UsageError, match="which in the space 'nasbench201' is known of whole net"):
        model.as_module()


def test_a_search_pays_for_a_sum_over_layers(tmp_path: Path) -> None:
    """The penalty's samples cost what the model predicts for them, and its gradient moves alpha."""
    space = small("proxyless")
    sample = tuple(a for _, a in space.unique_samples(0, 40))
    cost = np.array([1e-4 + 1e-9 * space.build(a).macs for a in sample])
    data = LatencyDataset(space, sample, cost, "fake", "nowhere")
    model = LatencyModel.fit(data, make_predictor("ridge-layers"))
    config = SearchConfig("gdas", epochs=1, batch=8, alpha_learning_rate=0.1, penalty_weight=1.0)
    penalty = LatencyPenalty.of(model, config)
    relaxed = parse_method("gdas").relaxation(space, torch.Generator().manual_seed(0))
    seen = relaxed.sample(64, torch.Generator().manual_seed(1)).detach().numpy()
    forest, columns = space.forest, space.columns.one_hot_places
    assert columns == list(range(forest.offsets[-1]))

    def chosen(row: npt.NDArray[np.float32]) -> Any:
        def choose(i: int) -> int:
            return int(row[forest.offsets[i] : forest.offsets[i + 1]].argmax())

        return space.of(forest.grow(choose))

    by_hand = model.predict([chosen(row) for row in seen])
    found = penalty.costs[0].of(torch.from_numpy(seen)).numpy()
    np.testing.assert_allclose(found, by_hand, rtol=1e-3)
    term = penalty.term(relaxed, torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(term.loss, list(relaxed.parameters()))
    assert (gradient != 0).float().mean() > 0.5
    stream, shape = torch.Generator().manual_seed(3), space.config.input_shape
    images, labels = torch.randn(32, *shape[1:], generator=stream), torch.arange(32) % 10
    noise = ImageData("noise", images, labels, images[:8], labels[:8], 10,
                      torch.zeros(shape[1]), shift=0, flip=False)  # fmt: skip
    outcome = search(space, noise, config, penalty, directory=tmp_path)
    assert cost.min() / 2 < outcome.history[0].expected < 2 * cost.max()
