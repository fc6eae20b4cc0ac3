"""LightGBM trusts its text files; ours must be checked before it reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import ParseError
from latbench.predictors.families.boosted_trees import BoostedTrees
from latbench.predictors.families.tree_text import checked_model_text
from latbench.store.dataset import LatencyDataset

MakeDataset = Callable[..., LatencyDataset]


@pytest.fixture(scope="module")
def model(make_dataset: MakeDataset) -> BoostedTrees:
    data = make_dataset(rows=60)
    predictor = BoostedTrees(n_estimators=5)
    predictor.fit(data.encode("counts"), data.values)
    return predictor


def test_the_checked_text_is_the_same_model(model: BoostedTrees, make_dataset: MakeDataset) -> None:
    X = make_dataset(rows=80).encode("counts").astype(float)
    text, features = checked_model_text(model.booster_.model_to_string())
    assert features == 21
    assert "tree_sizes" not in text
    again = lightgbm.Booster(model_str=text)
    assert np.array_equal(again.predict(X), model.booster_.predict(X))


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [
        (r"left_child=\S+", "left_child=9999999", "left_child"),
        (r"left_child=\S+", "left_child=0", "circle"),
        (r"right_child=\S+", "right_child=-77", "right_child"),
        (r"split_feature=\d+", "split_feature=21", "split_feature"),
        (r"split_feature=\d+", "split_feature=-1", "split_feature"),
        (r"num_leaves=\d+", "num_leaves=2000000000", "num_leaves"),
        (r"num_leaves=\d+", "num_leaves=3000", "left_child"),
        (r"num_cat=0", "num_cat=1", "num_cat"),
        (r"leaf_value=\S+", "leaf_value=nan", "leaf_value"),
        (r"leaf_value=\S+", "leaf_value=1e999", "leaf_value"),
        (r"num_features=\d+", "num_features=100", "num_features"),
        (r"leaf_features=", "leaf_features=5 ", "leaf_features"),
        (r"max_feature_idx=\d+", "max_feature_idx=999999999", "max_feature_idx"),
        (r"max_feature_idx=\d+", "max_feature_idx=0", "must"),
        (r"\nend of trees", "", "ends too early"),
        (r"\nTree=", "\nTwig=", "holds no tree"),
    ],
)
def test_refuses_every_index_that_leads_outside(
    model: BoostedTrees, pattern: str, replacement: str, says: str
) -> None:
    text = model.booster_.model_to_string()
    broken, changes = re.subn(pattern, replacement, text)
    assert changes
    with pytest.raises(ParseError, match=says):
        checked_model_text(broken)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_text_is_refused_or_still_a_safe_model(
    model: BoostedTrees, data: st.DataObject
) -> None:
    text = model.booster_.model_to_string().partition("\nfeature_importances")[0]
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    junk = data.draw(st.text("0123456789-= .\neTr", max_size=20))
    try:
        checked, features = checked_model_text(text[:at] + junk + text[at + length :])
    except ParseError:
        return
    # What passes must not crash LightGBM: a crash would end the whole test run.
    predicted = lightgbm.Booster(model_str=checked).predict(np.ones((2, features)))
    assert np.asarray(predicted).shape == (2,)
