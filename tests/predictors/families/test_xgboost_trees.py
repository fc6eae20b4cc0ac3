"""The trees read out of XGBoost predict what XGBoost does, and damaged ones are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import ParseError, UsageError
from latbench.predictors.families.xgboost_trees import XgboostTrees
from latbench.predictors.safe_arrays import read_arrays, write_arrays
from latbench.store.dataset import LatencyDataset

xgboost = pytest.importorskip("xgboost")
MakeDataset = Callable[..., LatencyDataset]


@pytest.fixture(scope="module")
def model(make_dataset: MakeDataset) -> XgboostTrees:
    data = make_dataset(rows=60)
    fitted = XgboostTrees(n_estimators=20)
    fitted.fit(data.encode("counts"), data.values)
    return fitted


def test_it_predicts_what_xgboost_does(make_dataset: MakeDataset, model: XgboostTrees) -> None:
    data, level, spread = make_dataset(rows=60), model.level_, model.spread_
    train = xgboost.DMatrix(data.encode("counts"), (np.log(data.values) - level) / spread)
    booster = xgboost.train(
        {"base_score": 0.0, "tree_method": "exact", "eta": 0.05, "max_depth": 3,
         "min_child_weight": 3.0, "subsample": 0.8, "seed": 0, "nthread": 1}, train, 20,
    )  # fmt: skip
    unseen = make_dataset(rows=80).encode("counts")
    expected = booster.predict(xgboost.DMatrix(unseen)) * spread + level
    np.testing.assert_allclose(np.log(model.predict(unseen)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("left", 0.0, "circle"),
        ("left", 1e9, "'left'"),
        ("right", -1.0, "'right'"),
        ("right", 1.5, "'right'"),
        ("feature", 21.0, "'feature'"),
        ("roots", 1e7, "'roots'"),
        ("numbers", -1.0, "damaged"),
    ],
)
def test_refuses_every_index_that_leads_outside(
    model: XgboostTrees, tmp_path: Path, name: str, value: float, says: str
) -> None:
    model.save_state(tmp_path)
    path = tmp_path / "state.safetensors"
    arrays = {k: v.copy() for k, v in read_arrays(path).items()}
    arrays[name][1] = value
    write_arrays(path, arrays)
    with pytest.raises(ParseError, match=says):
        XgboostTrees(n_estimators=20).load_state(tmp_path)


def test_a_saved_model_needs_no_xgboost(
    model: XgboostTrees, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    model.save_state(tmp_path)
    X = make_dataset(rows=5).encode("counts")
    np.save(tmp_path / "X.npy", X)
    code = (
        "import sys; sys.modules['xgboost'] = None; import numpy as np; from pathlib import Path; "
        "from latbench.predictors import make_predictor; "
        f"d = Path({str(tmp_path)!r}); m = make_predictor('xgboost', n_estimators=20); "
        "m.load_state(d); print(m.predict(np.load(d / 'X.npy')).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(model.predict(X).tolist())


def test_fitting_without_xgboost_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(UsageError, match=r"latbench\[xgboost\]"):
        XgboostTrees().fit(np.ones((3, 2)), np.ones(3))
