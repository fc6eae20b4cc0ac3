"""The flag for architectures unlike the training sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import ParseError
from latbench.predictors import make_predictor
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.model import LatencyModel
from latbench.predictors.novelty import NOVELTY_FILE, RATE, Novelty, beyond
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.store.dataset import LatencyDataset

DARTS = darts(channels=4, cells=3)


def _counts(space: AnySpace, seed: int, n: int) -> np.ndarray:
    return np.stack([space.counts(a) for _, a in space.unique_samples(seed, n)])


def _all_skip(space: AnySpace) -> object:
    text = str(space.reference())
    for op in ("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "max_pool_3x3",
               "avg_pool_3x3"):  # fmt: skip
        text = text.replace(op, "skip_connect")
    return space.parse(text)


@pytest.mark.parametrize("name", ["ridge-counts", "ridge-one-hot", "ridge-cost"])
@pytest.mark.parametrize("rows", [30, 60, 200])
def test_a_network_of_skip_connections_is_unlike_a_random_sample(name: str, rows: int) -> None:
    architectures = tuple(a for _, a in DARTS.unique_samples(0, rows))
    values = 1e-3 + np.stack([DARTS.counts(a) for a in architectures]).sum(axis=1) * 1e-4
    dataset = LatencyDataset(DARTS, architectures, values, "fake", "test")
    model = LatencyModel.fit(dataset, make_predictor(name))
    distance = model.novelty_of([_all_skip(DARTS)])
    assert distance is not None
    assert distance[0] > 1
    assert f"unlike the {rows} networks" in str(model.unlike_sample(_all_skip(DARTS)))
    assert model.unlike_sample(architectures[0]) is None


def test_a_prediction_outside_the_training_values_is_marked_and_says_so() -> None:
    """The cheapest of many, by a predictor that saw the dearest: near in counts, far in value."""
    drawn = [a for _, a in DARTS.unique_samples(0, 300)]
    counts = np.stack([DARTS.counts(a) for a in drawn])
    values = 1e-4 + counts @ np.linspace(0, 1, counts.shape[1]) ** 8 * 1e-3
    cheap = int(np.argmin(values))
    dear = np.flatnonzero(values > 1.2 * values[cheap])
    dataset = LatencyDataset(DARTS, tuple(drawn[i] for i in dear), values[dear], "fake", "test")
    model = LatencyModel.fit(dataset, make_predictor("ridge-counts"))
    low, high = 1e3 * values[dear].min(), 1e3 * values[dear].max()
    said = model.unlike_sample(drawn[cheap])
    assert said is not None
    assert f"predicted outside the {low:.3g}" in said
    assert f"{model.range_text} that the predictor was fitted on (" in said
    assert f"{high:.3g}" in model.range_text
    assert "unlike the" not in said
    assert model.unlike_sample(dataset.architectures[0]) is None
    outside = model.outside_range(model.predict(drawn))
    assert outside is not None
    assert 0 < outside.sum() <= len(drawn) - len(dear)


def test_a_little_outside_the_training_values_is_not_marked() -> None:
    values = [0.9, 0.96, 1.0, 2.5, 2.6, 2.7]
    assert beyond(values, (1.0, 2.5)).tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize("space", [DARTS, nasbench201()])
@pytest.mark.parametrize("rows", [50, 99, 400])
def test_fresh_samples_are_flagged_at_about_the_nominal_rate(space: AnySpace, rows: int) -> None:
    flagged = []
    for seed in range(12):
        novelty = Novelty.fit(_counts(space, seed, rows))
        flagged.append(np.mean(novelty(_counts(space, 1000 + seed, 200)) > 1))
    nominal = max(RATE, 1 / (rows + 1))
    # The rate of one training sample varies about as much as its mean (an exponential law).
    assert np.mean(flagged) < nominal + 4 * nominal / np.sqrt(12)
    assert rows > 100 or np.mean(flagged) > 0


def test_what_the_sample_never_did_is_far_away() -> None:
    X = np.random.default_rng(0).integers(0, 4, (50, 3)).astype(float)
    X[:, 2] = 1.0
    novelty = Novelty.fit(X)
    assert novelty(X).max() <= 1
    assert novelty([[2.0, 2.0, 2.0]])[0] > 10
    assert novelty([[2.0, 2.0, 1.0]])[0] < 1


def test_it_does_not_depend_on_the_units_of_the_counts() -> None:
    X = np.random.default_rng(0).integers(0, 4, (50, 3)).astype(float)
    fresh = np.random.default_rng(1).integers(0, 9, (20, 3)).astype(float)
    scale = np.array([1.0, 1e6, 1e-3])
    assert np.allclose(Novelty.fit(X)(fresh), Novelty.fit(X * scale)(fresh * scale))


def test_a_saved_model_knows_its_sample_and_its_intervals(
    dataset: LatencyDataset, tmp_path: Path
) -> None:
    (result,) = compare(dataset, ["ridge-counts"])
    model = LatencyModel.fit(
        dataset, make_predictor("ridge-counts"), metrics=result.metrics,
        out_of_fold=result.predicted,
    )  # fmt: skip
    model.save(tmp_path / "m")
    loaded = LatencyModel.load(tmp_path / "m")
    some = dataset.architectures[:5]
    assert np.array_equal(
        loaded.predict(some, return_interval=0.9), model.predict(some, return_interval=0.9)
    )
    ends, expected = loaded.novelty_of(some), model.novelty_of(some)
    assert ends is not None
    assert expected is not None
    assert np.array_equal(ends, expected)


def test_a_model_saved_before_there_was_a_flag_says_nothing(
    dataset: LatencyDataset, tmp_path: Path
) -> None:
    LatencyModel.fit(dataset, make_predictor("ridge-counts")).save(tmp_path / "m")
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    del card["files"][NOVELTY_FILE]
    (tmp_path / "m" / "card.json").write_text(json.dumps(card))
    (tmp_path / "m" / NOVELTY_FILE).unlink()
    loaded = LatencyModel.load(tmp_path / "m")
    assert loaded.novelty_of(dataset.architectures) is None
    assert loaded.outside_range([1e9]) is None
    assert loaded.unlike_sample(_all_skip(dataset.space)) is None


def test_a_file_of_another_space_is_refused(tmp_path: Path) -> None:
    Novelty.fit(np.eye(4)).save(tmp_path)
    Novelty.load(tmp_path, 4)
    with pytest.raises(ParseError, match="center"):
        Novelty.load(tmp_path, 5)
