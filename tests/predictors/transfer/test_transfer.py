"""Transfer from source devices whose costs are known to a new one of few samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import NotEnoughData, SpaceMismatchError, UsageError
from latbench.predictors.base import Floats
from latbench.predictors.model import LatencyModel
from latbench.predictors.transfer.choice import choose
from latbench.predictors.transfer.methods import nearest, ridge
from latbench.predictors.transfer.prior import Prior, Source, learn
from latbench.predictors.transfer.transfer import METHODS, Transfer, transfer
from latbench.spaces import darts, nasbench201
from latbench.store.dataset import LatencyDataset
from latbench.timing.metric import SIZE

SPACE = nasbench201(channels=4, cells=1)
COUNTS = SPACE.counts_matrix().astype(float)
RNG = np.random.default_rng(3)
# A cost for every operation on every edge: operation counts alone cannot say it.
BASE = np.exp(RNG.uniform(-2, 1, 30))


def device(name: str, costs: Floats, rows: int, seed: int, noise: float = 0.01) -> LatencyDataset:
    architectures = tuple(a for _, a in SPACE.unique_samples(seed, rows))
    one_hot = np.stack([SPACE.one_hot(a) for a in architectures])
    rng = np.random.default_rng(seed)
    latency_s = 1e-3 * (1 + one_hot @ costs) * np.exp(rng.normal(0, noise, rows))
    return LatencyDataset(SPACE, architectures, latency_s, name, "a device", noise_floor=noise)


OTHER = np.exp(np.random.default_rng(8).uniform(-2, 1, 30))
SOURCES = [device("near", BASE, 300, 1), device("far", OTHER, 300, 2)]
# Seven times the first source; the rest are rows that no transfer sees.
EVERYTHING = replace(device("new", BASE, 220, 5), values=7 * device("new", BASE, 220, 5).values)
SAMPLES, REST = EVERYTHING.subset(range(20)), EVERYTHING.subset(range(20, 220))


def error(model: LatencyModel, rows: LatencyDataset) -> float:
    return float(np.mean(np.abs(model.predict(rows.architectures) / rows.values - 1)))


@pytest.fixture(scope="module")
def prior() -> Prior:
    sources = [Source(s.backend, s.encode("one_hot").astype(float), s.values) for s in SOURCES]
    return learn(sources, COUNTS)


@pytest.fixture(scope="module")
def found() -> Transfer:
    return transfer(SOURCES, SAMPLES)


def test_twenty_samples_reach_the_noise(found: Transfer) -> None:
    assert set(found.metrics) == set(METHODS)
    alone = transfer(SOURCES, SAMPLES, methods=["counts"])
    assert error(found.model, REST) < 0.02
    assert error(found.model, REST) < error(alone.model, REST) / 3


@pytest.mark.parametrize("method", ["nearest", "ridge", "mixture"])
def test_every_method_gains_from_a_like_source(method: str, found: Transfer) -> None:
    own = transfer(SOURCES, SAMPLES, methods=[method])
    assert own.method == method
    assert own.metrics[method] == found.metrics[method]
    alone = transfer(SOURCES, SAMPLES, methods=["counts"])
    assert error(own.model, REST) < 0.6 * error(alone.model, REST)


def test_unlike_sources_do_no_harm() -> None:
    """A new device of operation counts, and sources that know nothing of it."""
    of_counts = COUNTS @ np.array([0.1, 0.5, 2.0, 0.3])
    everything = device("new", of_counts, 220, 5)
    samples, rest = everything.subset(range(20)), everything.subset(range(20, 220))
    found = transfer([SOURCES[1]], samples)
    alone = transfer([SOURCES[1]], samples, methods=["counts"])
    assert error(found.model, rest) < 1.5 * error(alone.model, rest)
    only_nearest = transfer([SOURCES[1]], samples, methods=["nearest"])
    assert error(only_nearest.model, rest) > 3 * error(found.model, rest)


def test_the_choice_sees_the_samples_only(found: Transfer) -> None:
    again = transfer(SOURCES, SAMPLES)
    assert again.method == found.method
    assert again.metrics == found.metrics
    # The reported error is of predictions out of fold: no method fits 20 samples better than them.
    for metrics in found.metrics.values():
        assert metrics["mape"][0] > 0.003


@pytest.mark.parametrize("method", list(METHODS))
def test_a_saved_transfer_is_an_ordinary_model(method: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = transfer(SOURCES, SAMPLES, methods=[method]).model
    model.save(tmp_path / "model")
    loaded = LatencyModel.load(tmp_path / "model", space=SPACE)
    some = REST.subset(range(30))
    assert np.array_equal(loaded.predict(some.architectures), model.predict(some.architectures))
    vectors = torch.from_numpy(some.encode("one_hot"))
    assert np.allclose(loaded.as_module()(vectors), model.predict(some.architectures), rtol=1e-4)
    origin = loaded.card.conditions["transfer"]
    assert isinstance(origin, dict)
    assert origin["method"] == method
    assert loaded.card.samples == 20
    assert loaded.card.backend == "new"


@settings(deadline=None, max_examples=15)
@given(unit=st.floats(1e-6, 1e6), n=st.integers(5, 30), seed=st.integers(0, 99))
def test_predictions_scale_with_the_unit(prior: Prior, unit: float, n: int, seed: int) -> None:
    rows = np.random.default_rng(seed).choice(len(EVERYTHING), n, replace=False)
    few = EVERYTHING.subset(rows)
    X = few.encode("one_hot").astype(float)
    for method in (ridge, nearest, METHODS["mixture"]):
        plain, scaled = method(prior, X, few.values), method(prior, X, unit * few.values)
        assert np.allclose(unit * plain.predict(X), scaled.predict(X), rtol=1e-3)


def test_nearest_is_the_like_source_times_its_factor(prior: Prior) -> None:
    X = SAMPLES.encode("one_hot").astype(float)
    predictor = nearest(prior, X, SAMPLES.values)
    mean = SOURCES[0].values.mean()
    assert np.allclose(predictor.coef_ / (prior.devices.coefs[0] * mean), 7, rtol=0.02)


def test_five_samples_are_enough_and_four_are_not() -> None:
    few = transfer(SOURCES, SAMPLES.subset(range(5)), methods=["counts", "nearest", "ridge"])
    assert error(few.model, REST) < 0.2
    with pytest.raises(NotEnoughData, match="needs 5 samples"):
        transfer(SOURCES, SAMPLES.subset(range(4)))


def test_one_source_and_five_samples_are_enough_for_the_default() -> None:
    """On the mean of 20 draws: five samples say little, and one draw in few is an unlucky one."""
    rest = REST.encode("one_hot").astype(float)
    errors = {}
    for source in SOURCES:
        prior = learn(
            [Source("one", source.encode("one_hot").astype(float), source.values)], COUNTS
        )
        for method in ("counts", "mixture"):
            errors[source.backend, method] = np.mean([
                np.abs(METHODS[method](prior, X, y).predict(rest) / REST.values - 1).mean()
                for X, y in _draws(5, 20)
            ])  # fmt: skip
    assert errors["near", "mixture"] < 0.03
    assert errors["far", "mixture"] < errors["far", "counts"]


def _draws(n: int, times: int) -> list[tuple[Floats, Floats]]:
    rows = [
        np.random.default_rng(s).choice(len(EVERYTHING), n, replace=False) for s in range(times)
    ]
    sets = [EVERYTHING.subset(chosen) for chosen in rows]
    return [(s.encode("one_hot").astype(float), s.values) for s in sets]


def test_a_sample_near_zero_harms_less_than_it_does_counts(prior: Prior) -> None:
    """An artefact of a thousandth of the others, in place of each sample in turn. It still costs
    much; with relative weights alone, as in ``counts``, nothing is left."""
    X, rest = (s.encode("one_hot").astype(float) for s in (SAMPLES, REST))
    correlations = {}
    for method in ("counts", "mixture"):
        found = []
        for i in range(len(SAMPLES)):
            values = SAMPLES.values.copy()
            values[i] /= 1000
            predicted = METHODS[method](prior, X, values).predict(rest)
            found.append(np.corrcoef(predicted, REST.values)[0, 1])
        correlations[method] = np.mean(found)
    assert correlations["counts"] < 0.2
    assert correlations["mixture"] > 0.5


def test_the_mixture_needs_a_network(prior: Prior) -> None:
    without = replace(prior, devices=replace(prior.devices, layers=()))
    with pytest.raises(UsageError, match="network=True"):
        METHODS["mixture"](without, SAMPLES.encode("one_hot").astype(float), SAMPLES.values)


def test_what_does_not_fit_is_refused(prior: Prior) -> None:
    with pytest.raises(NotEnoughData, match="near on x has 10 rows"):
        transfer([replace(SOURCES[0].subset(range(10)), device="x")], SAMPLES)
    with pytest.raises(UsageError, match="one or more"):
        transfer([], SAMPLES)
    with pytest.raises(UsageError, match="use one metric"):
        transfer([replace(SOURCES[0], metric=SIZE)], SAMPLES)
    other = darts(channels=4, cells=3)
    elsewhere = LatencyDataset(other, (other.reference(),), np.array([1.0]), "b", "d")
    with pytest.raises(SpaceMismatchError, match="within one space"):
        transfer([elsewhere], SAMPLES)
    with pytest.raises(UsageError, match="methods must be some of counts"):
        choose(prior, SAMPLES.encode("one_hot").astype(float), SAMPLES.values, methods=["magic"])


def test_sources_of_one_name_are_told_apart() -> None:
    found = transfer([SOURCES[0], SOURCES[0]], SAMPLES, methods=["nearest"])
    assert found.sources == ("near on a device", "near on a device (2)")
