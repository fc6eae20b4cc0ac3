"""``docs/own-predictor.md``: its files and commands do what the page says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from doc_pages import DOCS, files_of, follow
from stored import SPACE, make_set, row

from latbench.encodings import encode_networks
from latbench.errors import ParseError, UsageError
from latbench.predictors import make_predictor
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.model import LatencyModel
from latbench.store import Store
from latbench.store.dataset import LatencyDataset


@pytest.mark.slow  # 15 s; what is from outside is fitted and guides a search below
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    with Store(tmp_path / "sample.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        for i in range(24):
            store.add(number, row(i, factor=1 + i / 7))
    out = follow("own-predictor.md", tmp_path)
    assert len(out.splitlines()[0].strip("[]").split()) == 3  # of try_it.py
    assert out.count("mean_predictor:Proportional") >= 2
    assert "additive_predictor:Additive" in out
    assert "shape_predictor:RidgeShape" in out
    assert "saved in models/mine" in out
    with pytest.raises(ParseError, match="LATBENCH_TRUST=mean_predictor"):
        LatencyModel.load(tmp_path / "models" / "mine")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page's predictors are found, and not imported yet."""
    for name, text in files_of(DOCS / "own-predictor.md").items():
        (tmp_path / name).write_text(text)
        module = name.removesuffix(".py")
        monkeypatch.setitem(sys.modules, module, ModuleType(module))  # put back afterwards
        del sys.modules[module]
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_one_from_outside_has_a_gradient_for_a_search(
    place: Path, make_dataset: Callable[..., LatencyDataset]
) -> None:
    dataset = make_dataset("nasbench201")
    predictor = make_predictor("additive_predictor:Additive")
    (result,) = compare(dataset, [predictor])
    assert result.differentiable
    assert result.metrics["mape"][0] < 0.05
    model = LatencyModel.fit(dataset, predictor)
    x = torch.tensor(dataset.encode("one_hot"), requires_grad=True)
    values = model.as_module()(x)
    expected = model.predict(dataset.architectures)
    np.testing.assert_allclose(values.detach().numpy(), expected, rtol=1e-4)
    values.sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).any()


def test_one_with_an_encoding_of_its_own_is_saved_and_read(
    place: Path, dataset: LatencyDataset
) -> None:
    name = "shape_predictor:RidgeShape"
    own, cost = compare(dataset, [name, "ridge-cost"])
    assert own.metrics != cost.metrics
    model = LatencyModel.fit(dataset, make_predictor(name))
    model.save(place / "m")
    card = json.loads((place / "m" / "card.json").read_text())
    assert (card["encoding"], card["encoding_version"]) == ("shape", 1)
    loaded = LatencyModel.load(place / "m")
    expected = model.predict(dataset.architectures)
    np.testing.assert_array_equal(loaded.predict(dataset.architectures), expected)
    with pytest.raises(UsageError, match="reads 'shape', which in the space 'darts' is known of"):
        loaded.as_module()
    networks = [dataset.space.build(a) for a in dataset.architectures[:3]]
    vectors = encode_networks(networks, loaded.predictor.encoding)
    np.testing.assert_allclose(loaded.predictor.predict(vectors), expected[:3])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"version": 2}, "on version 1 of the encoding 'shape', which is of version 2 here"),
        ({"name": "form"}, "encoding 'shape', it reads 'form'"),
        ({"name": "cost"}, "names no known predictor: an encoding of one's own needs a name"),
    ],
)
def test_another_encoding_is_refused(
    place: Path, dataset: LatencyDataset, changed: dict[str, Any], says: str
) -> None:
    predictor = make_predictor("shape_predictor:RidgeShape")
    LatencyModel.fit(dataset, predictor).save(place / "m")
    for key, value in changed.items():
        setattr(type(predictor.encoding), key, value)
    with pytest.raises(ParseError, match=says) as raised:
        LatencyModel.load(place / "m")
    assert "\n" not in str(raised.value)


def test_what_its_columns_are_it_says_for_a_search(place: Path, dataset: LatencyDataset) -> None:
    """An encoding that is a sum of one-hot entries makes a gradient in it one for a search."""
    predictor = make_predictor("additive_predictor:Additive")
    columns = len(dataset.space.one_hot(dataset.space.reference()))
    matrix = np.random.default_rng(0).normal(size=(columns, 12)).astype(np.float32)
    Shape: Any = type(make_predictor("shape_predictor:RidgeShape").encoding)

    class Linear(Shape):  # type: ignore[misc]
        name = "linear"

        def encode(self, space: Any, architectures: Any, networks: Any) -> Any:
            return space.one_hot_all(architectures) @ matrix

        def one_hot_matrix(self, space: Any) -> Any:
            return matrix

    class OnLinear(type(predictor)):  # type: ignore[misc]
        encoding = Linear()

    model = LatencyModel.fit(dataset, OnLinear())
    values = model.as_module()(torch.tensor(dataset.encode("one_hot"))).numpy()
    np.testing.assert_allclose(values, model.predict(dataset.architectures), rtol=1e-4)
