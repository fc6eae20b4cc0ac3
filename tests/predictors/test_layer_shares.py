"""What predictors say of each layer adds up to what they say of the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from latbench.encodings.layers import space_slots
from latbench.errors import UsageError
from latbench.networks.optimisation import savings
from latbench.predictors import make_predictor
from latbench.predictors.counted import counted_model
from latbench.predictors.layer_shares import predict_network
from latbench.predictors.model import LatencyModel
from latbench.spaces import darts, make_space
from latbench.store.dataset import LatencyDataset
from latbench.zoo.published_networks import published_network

MakeDataset = Callable[..., LatencyDataset]


@pytest.mark.parametrize("name", ["lookup", "roofline", "ridge-layers"])
def test_the_parts_add_up(name: str, make_dataset: MakeDataset) -> None:
    dataset = make_dataset("nasbench201")
    model = LatencyModel.fit(dataset, make_predictor(name))
    for architecture in dataset.architectures[:5]:
        network = dataset.space.build(architecture)
        said = predict_network(model, network)
        assert said.whole_s == pytest.approx(model.predict([architecture])[0])
        assert said.layers_s is not None
        assert said.besides_s is not None
        assert len(said.layers_s) == len(network.layers)
        assert said.layers_s[0] == 0
        assert sum(said.layers_s) + said.besides_s == pytest.approx(said.whole_s, rel=1e-4)


def test_each_layer_has_its_own_part(make_dataset: MakeDataset) -> None:
    """Of a table, the value of its kind; and nothing where it is saved."""
    dataset = make_dataset("nasbench201")
    model = LatencyModel.fit(dataset, make_predictor("lookup"))
    table = model.predictor
    table.costs_ = 1e-3 * (1.0 + np.arange(len(table.costs_)))
    table.offset_ = 0.5
    network = dataset.space.build(dataset.space.reference())
    numbers, saved = space_slots(dataset.space).numbers, savings(network)
    for optimised in (False, True):
        table.optimised_ = optimised
        said = predict_network(model, network)
        assert said.besides_s == pytest.approx(0.5)
        assert said.layers_s is not None
        for i, layer in enumerate(network.layers[1:], 1):
            skipped = optimised and (i in saved.fusible or i in saved.repeated)
            expected = 0.0 if skipped else 1e-3 * (1 + numbers[network.kind(layer)])
            assert said.layers_s[i] == pytest.approx(expected), i


@pytest.mark.parametrize("name", ["ridge-cost", "ridge-counts"])
def test_what_is_no_sum_over_layers_says_the_whole_alone(
    name: str, make_dataset: MakeDataset
) -> None:
    dataset = make_dataset("nasbench201")
    model = LatencyModel.fit(dataset, make_predictor(name))
    architecture = dataset.space.reference()
    said = predict_network(model, dataset.space.build(architecture), architecture)
    assert (said.layers_s, said.besides_s) == (None, None)
    assert said.whole_s == pytest.approx(model.predict([architecture])[0])


def test_what_reads_a_networks_cost_needs_no_architecture(make_dataset: MakeDataset) -> None:
    dataset = make_dataset("nasbench201")
    model = LatencyModel.fit(dataset, make_predictor("ridge-cost"))
    architecture = dataset.space.reference()
    said = predict_network(model, dataset.space.build(architecture))
    assert said.whole_s == pytest.approx(model.predict([architecture])[0])


def test_counts_of_what_is_no_architecture_are_refused(make_dataset: MakeDataset) -> None:
    dataset = make_dataset("nasbench201")
    model = LatencyModel.fit(dataset, make_predictor("ridge-counts"))
    with pytest.raises(UsageError, match="'counts' is of a space's architectures"):
        predict_network(model, dataset.space.build(dataset.space.reference()))


def test_layers_that_the_space_does_not_have_are_refused(make_dataset: MakeDataset) -> None:
    model = LatencyModel.fit(make_dataset("nasbench201"), make_predictor("roofline"))
    with pytest.raises(UsageError, match=r"is none of the .* kinds of layers that have a slot"):
        predict_network(model, published_network("mobilenet_v2"))
    space = darts(channels=4, cells=3)
    with pytest.raises(UsageError, match="is none of the"):
        predict_network(model, space.build(space.reference()))


def test_another_metric_than_latency_is_refused() -> None:
    space = make_space("operators", make_space("operators").small)
    model = counted_model(space, "macs")
    with pytest.raises(UsageError, match="a profile is compared with one of latency"):
        predict_network(model, space.build(space.reference()))
