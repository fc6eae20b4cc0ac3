from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_predictors import QUICK
from safetensors.numpy import load_file, save_file

from latbench import __version__
from latbench.errors import ParseError, SpaceMismatchError, UsageError
from latbench.predictors import PREDICTORS, make_predictor, predictor_class
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.model import LatencyModel
from latbench.spaces import darts, nasbench201
from latbench.store.dataset import LatencyDataset
from latbench.timing.metric import LATENCY, MEMORY

MakeDataset = Callable[..., LatencyDataset]
DIFFERENTIABLE = [n for n in PREDICTORS if predictor_class(n).differentiable]


def fitted(name: str, dataset: LatencyDataset) -> LatencyModel:
    return LatencyModel.fit(dataset, make_predictor(name, **QUICK.get(name, {})))


@pytest.mark.parametrize("space", ["darts", "nasbench201"])
@pytest.mark.parametrize("name", PREDICTORS)
def test_a_saved_model_predicts_the_same(
    name: str, space: str, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(space, rows=30)
    model = fitted(name, dataset)
    model.save(tmp_path / "deep" / "model")
    loaded = LatencyModel.load(tmp_path / "deep" / "model", space=dataset.space)
    expected = model.predict(dataset.architectures)
    assert expected.shape == (30,)
    assert np.array_equal(loaded.predict(dataset.architectures), expected)
    assert loaded.space == dataset.space
    assert loaded.predictor.get_params() == model.predictor.get_params()
    assert loaded.predict([]).shape == (0,)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["model"]


def test_the_card_tells_where_the_model_came_from(dataset: LatencyDataset, tmp_path: Path) -> None:
    metrics = compare(dataset, ["ridge-counts"])[0].metrics
    LatencyModel.fit(dataset, make_predictor("ridge-counts"), metrics=metrics).save(tmp_path / "m")
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["latbench"] == __version__
    assert card["predictor"] == "ridge-counts"
    assert card["encoding"] == "counts"
    assert card["encoding_version"] == 1
    assert card["space"] == dataset.space.identity()
    assert card["backend"] == "fake"
    assert card["device"] == "test device"
    assert card["conditions"] == {"protocol": {"visits": 3}}
    assert card["samples"] == 60
    assert card["metric"] == "latency"
    assert card["fingerprint"] == dataset.fingerprint()
    assert card["noise_floor"] == 0.014
    assert card["metrics"]["mape"] == list(metrics["mape"])
    assert set(card["versions"]) >= {"numpy", "scikit-learn", "torch", "lightgbm"}
    loaded = LatencyModel.load(tmp_path / "m")
    assert loaded.card.metrics == metrics


def test_saving_replaces_an_older_model_and_nothing_else(
    dataset: LatencyDataset, tmp_path: Path
) -> None:
    fitted("lightgbm", dataset).save(tmp_path / "m")
    model = fitted("ridge-cost", dataset)
    model.save(tmp_path / "m")
    assert LatencyModel.load(tmp_path / "m").card.predictor == "ridge-cost"
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "card.json", "novelty.safetensors", "state.safetensors",
    ]  # fmt: skip
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    for taken in (tmp_path / "home", tmp_path / "home" / "thesis.tex"):
        with pytest.raises(UsageError, match="no saved latency model"):
            model.save(taken)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "x"


def test_a_failed_save_leaves_the_old_model(
    dataset: LatencyDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted("ridge-cost", dataset)
    model.save(tmp_path / "m")

    def disk_full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(type(model.predictor), "save_state", disk_full)
    with pytest.raises(OSError, match="no space left"):
        model.save(tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    LatencyModel.load(tmp_path / "m")


def test_refuses_another_space(dataset: LatencyDataset, tmp_path: Path) -> None:
    model = fitted("ridge-counts", dataset)
    model.save(tmp_path / "m")
    wider = darts(channels=16, cells=3)
    with pytest.raises(SpaceMismatchError, match=r"channels=4.*channels=16"):
        LatencyModel.load(tmp_path / "m", space=wider)
    with pytest.raises(SpaceMismatchError, match=r"channels=4.*channels=16"):
        model.predict(dataset.architectures, space=wider)
    other = nasbench201()
    with pytest.raises(SpaceMismatchError, match="nasbench201"):
        model.predict([other.reference()])
    assert np.isfinite(model.predict(dataset.architectures, space=darts(channels=4, cells=3))).all()


def test_one_architecture_is_no_list_of_them(dataset: LatencyDataset) -> None:
    model = fitted("ridge-counts", dataset)
    several = dataset.architectures[:4]
    expected = model.predict(list(several))
    assert np.array_equal(model.predict(several), expected)
    assert np.array_equal(model.predict(tuple(map(str, several))), expected)
    assert model.predict(()).shape == (0,)
    for alone in (several[1], str(several[1])):
        with pytest.raises(UsageError, match=r"a list of architectures; write \[architecture\]"):
            model.predict(alone)


def test_warns_on_another_device(dataset: LatencyDataset, tmp_path: Path) -> None:
    fitted("ridge-counts", dataset).save(tmp_path / "m")
    with pytest.warns(UserWarning, match="'test device', this device is 'another'"):
        LatencyModel.load(tmp_path / "m", device="another")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LatencyModel.load(tmp_path / "m", device="test device")


@pytest.mark.parametrize("space", ["darts", "nasbench201"])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_module_reads_one_hot_and_has_gradients(
    name: str, space: str, make_dataset: MakeDataset
) -> None:
    dataset = make_dataset(space, rows=30)
    model = fitted(name, dataset)
    x = torch.tensor(dataset.encode("one_hot"), requires_grad=True)
    seconds = model.as_module()(x)
    expected = model.predict(dataset.architectures)
    assert np.allclose(seconds.detach().numpy(), expected, rtol=1e-4)
    seconds.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad != 0).any()


@pytest.mark.parametrize("name", ["lightgbm", "ridge-cost", "ridge-layers", "lookup"])
def test_others_name_the_differentiable_ones(name: str, dataset: LatencyDataset) -> None:
    said = f"^this predictor has no gradient .*{name}.*; use one that has, such as mlp"
    with pytest.raises(UsageError, match=said):
        fitted(name, dataset).as_module()


# --- files that are not what they should be -------------------------------------------------------


def edit_card(directory: Path, **changes: Any) -> None:
    path = directory / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def sign(directory: Path) -> None:
    """Makes the card's digests fit the files, as an attacker would."""
    names = [p.name for p in directory.iterdir() if p.name != "card.json"]
    edit_card(directory, files={
        n: hashlib.sha256((directory / n).read_bytes()).hexdigest() for n in names
    })  # fmt: skip


@pytest.fixture
def saved(dataset: LatencyDataset, tmp_path: Path) -> Path:
    fitted("mlp", dataset).save(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"predictor": "mpl"},
            "unknown predictor 'mpl'; did you mean 'mlp'[?] expected one of gnn, lightgbm, lookup",
        ),
        ({"predictor": "ridge-counts"}, "no parameter"),
        ({"params": {"hidden": [64, "__import__('os')"]}}, "a width in hidden"),
        ({"params": {"hidden": [8000]}}, "tensor 'weight0'"),
        ({"params": {"self": 1}}, "no parameter 'self'"),
        ({"encoding": "one_hot"}, "it reads 'counts'"),
        ({"encoding": "bytes"}, "encoding .bytes., it reads .counts."),
        (
            {"encoding_version": 7},
            "on version 7 of the encoding .counts., which is of version 1 here; fit it again",
        ),
        ({"encoding_version": 0}, "encoding_version"),
        ({"space": {"name": "nasnet"}}, "names no known space"),
        ({"space": {}}, "names no known space"),
        ({"space": {"name": "nasbench201", "config": {}, "encoding_version": 1}}, "has 4"),
        ({"space": {"name": "darts", "config": {"cells": "x"}}}, "must be an integer"),
        ({"space": {"name": "darts", "config": [1]}}, "no known space"),
        ({"samples": -1}, "samples"),
        ({"samples": "60"}, "samples"),
        ({"surprise": 1}, "surprise"),
        ({"format_version": 3}, "install a newer latbench"),
        ({"format": "pickle"}, "format"),
        ({"metric": "beauty"}, "metric: .*expected one of latency, memory"),
        ({"metric": None}, "metric"),
        ({"files": {"../../etc/passwd": "0"}}, "no plain file name"),
        ({"files": {"state.safetensors": "0" * 64}}, "damaged"),
        ({"files": {"gone.bin": "0"}}, "missing"),
    ],
)
def test_refuses_a_card_that_was_changed(saved: Path, changes: dict[str, Any], says: str) -> None:
    edit_card(saved, **changes)
    with pytest.raises(ParseError, match=says):
        LatencyModel.load(saved)


def test_refuses_a_missing_or_oversized_card(saved: Path) -> None:
    (saved / "card.json").write_text(" " * (2**20 + 1))
    with pytest.raises(ParseError, match="more than the 1,048,576 bytes"):
        LatencyModel.load(saved)
    (saved / "card.json").unlink()
    with pytest.raises(ParseError, match=r"no card\.json"):
        LatencyModel.load(saved)
    with pytest.raises(ParseError, match="not a saved latency model"):
        LatencyModel.load(saved / "nowhere")


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
@pytest.mark.parametrize("signed", [False, True])
def test_refuses_truncated_tensors(saved: Path, keep: int, signed: bool) -> None:
    path = saved / "state.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    if signed:
        sign(saved)
    with pytest.raises(ParseError, match="not a whole safetensors file" if signed else "damaged"):
        LatencyModel.load(saved)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weight0": np.zeros((128, 20), np.float32)}, "weight0"),
        ({"weight0": np.zeros((128, 21), np.float64)}, "weight0"),
        ({"bias1": np.full(128, np.nan, np.float32)}, "finite"),
        ({"bias1": np.zeros(128, np.int64)}, "finite floats"),
        ({"scaling": np.array([0.0, 1, 1])}, "must be positive"),
        ({"range": np.array([-1.0, 1])}, "range of values from -1"),
        ({"center": None}, "no tensor 'center'"),
    ],
)
def test_refuses_tensors_that_do_not_fit(
    saved: Path,
    change: dict[str, np.ndarray | None],
    says: str,
) -> None:
    path = saved / "state.safetensors"
    arrays = load_file(path) | change
    save_file({k: v for k, v in arrays.items() if v is not None}, path)
    sign(saved)
    with pytest.raises(ParseError, match=says):
        LatencyModel.load(saved)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["card.json", "state.safetensors"]), st.binary(max_size=300))
def test_random_bytes_are_refused(make_dataset: MakeDataset, name: str, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "m"
        fitted("ridge-counts", make_dataset(rows=20)).save(directory)
        (directory / name).write_bytes(junk)
        if name != "card.json":
            sign(directory)
        with pytest.raises(ParseError):
            LatencyModel.load(directory)


def test_a_model_can_be_loaded_by_a_card_without_digests(saved: Path) -> None:
    edit_card(saved, files={})
    LatencyModel.load(saved)


def test_a_model_of_another_metric_says_so(dataset: LatencyDataset, tmp_path: Path) -> None:
    memory = replace(dataset, values=1e10 * dataset.values, metric=MEMORY)
    model = fitted("ridge-counts", memory)
    model.save(tmp_path / "m")
    loaded = LatencyModel.load(tmp_path / "m")
    assert loaded.metric == MEMORY
    seconds = fitted("ridge-counts", dataset)
    assert seconds.metric == LATENCY
    predicted = seconds.predict(dataset.architectures)
    np.testing.assert_allclose(loaded.predict(dataset.architectures), 1e10 * predicted)


def test_a_model_from_before_other_metrics_can_be_loaded(
    dataset: LatencyDataset, tmp_path: Path
) -> None:
    model = fitted("ridge-counts", dataset)
    model.save(tmp_path / "m")
    state = tmp_path / "m" / "state.safetensors"
    arrays = load_file(state)
    save_file({"latency_range_s": arrays.pop("range"), **arrays}, state)
    sign(tmp_path / "m")
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    del card["metric"]
    card["metrics"] = {"mape": [0.02, 0.01, 0.03], "rmse_ms": [0.5, 0.4, 0.6]}
    (tmp_path / "m" / "card.json").write_text(json.dumps(card))
    loaded = LatencyModel.load(tmp_path / "m")
    assert loaded.metric == LATENCY
    assert loaded.card.metrics == {"mape": (0.02, 0.01, 0.03), "rmse": (5e-4, 4e-4, 6e-4)}
    expected = model.predict(dataset.architectures)
    assert np.array_equal(loaded.predict(dataset.architectures), expected)


def test_conditions_must_be_plain_values(dataset: LatencyDataset) -> None:
    odd = LatencyDataset(
        dataset.space, dataset.architectures, dataset.values, "fake", "d", None, {"at": object()}
    )
    with pytest.raises(UsageError, match="JSON"):
        LatencyModel.fit(odd, make_predictor("ridge-cost"))
