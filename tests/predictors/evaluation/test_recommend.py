from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from latbench.predictors.evaluation.recommend import most_accurate, recommend, recommend_for_search
from latbench.results import PredictorCosts, PredictorResult

TRUTH = np.linspace(1.0, 2.0, 50)


def result(name: str, error: float, fit_s: float | None = None, shift: int = 0) -> PredictorResult:
    """Predictions that err by about ``error``, with another ``shift`` on other rows."""
    noise = np.random.default_rng(0).normal(0, error * np.sqrt(np.pi / 2), len(TRUTH))
    noise = np.roll(noise, shift)
    predicted = tuple((TRUTH * (1 + noise)).tolist())
    costs = None if fit_s is None else PredictorCosts(fit_s, 1e6, 1000, 0.9)
    gradient = name.split()[0] in ("mlp", "ridge-counts")
    return PredictorResult(name, predicted, {}, costs, differentiable=gradient)


def test_the_clearly_best_is_recommended() -> None:
    found = recommend([result("mlp", 0.2), result("lightgbm", 0.01)], TRUTH, 0.005)
    assert found is not None
    assert found.name == "lightgbm"
    assert "the least of all" in found.reason
    assert found.reason.endswith("a perfect predictor reaches, 0.35 % at a noise floor of 0.50 %")
    at_floor = recommend([result("mlp", 0.2), result("lightgbm", 0.01)], TRUTH, 0.02)
    assert at_floor is not None
    assert at_floor.reason.endswith("2.00 %, and more rows could not be seen to lower it")
    between = recommend([result("mlp", 0.2), result("lightgbm", 0.01)], TRUTH, 0.011)
    assert between is not None
    assert between.reason.endswith("at a noise floor of 1.10 %")


def test_among_equals_one_with_gradients_and_then_the_fastest() -> None:
    rows = [result("gnn", 0.01, 5.0, 1), result("lightgbm", 0.01, 0.1, 2),
            result("mlp", 0.01, 2.0, 3), result("ridge-counts", 0.01001, 0.02, 4)]  # fmt: skip
    found = recommend(rows, TRUTH, None)
    assert found is not None
    assert found.name == "ridge-counts"
    assert "within one standard error of the best" in found.reason
    assert "gradients" in found.reason
    assert "no noise floor to compare it with" in found.reason


def test_for_a_search_the_best_with_a_gradient() -> None:
    rows = [result("ridge-layers", 0.01), result("mlp", 0.2), result("ridge-counts", 0.1)]
    found = recommend_for_search(rows, TRUTH)
    assert found is not None
    assert found.name == "ridge-counts"
    assert re.fullmatch(r"errs by \S+ %, the least of those with a gradient", found.reason)
    rows = [result("mlp", 0.0999, 2.0, 1), result("ridge-counts", 0.1, 0.02)]
    found = recommend_for_search(rows, TRUTH)
    assert found is not None
    assert found.name == "ridge-counts"
    assert "within one standard error of the best with a gradient (mlp" in found.reason
    assert recommend_for_search([result("gnn", 0.01)], TRUTH) is None


def test_a_second_of_a_family_is_known_by_its_name() -> None:
    found = recommend([result("mlp", 0.3), result("mlp (2)", 0.01)], TRUTH, 0.01)
    assert found is not None
    assert found.name == "mlp (2)"
    assert "gradients" in found.reason


def test_perfect_predictions_are_no_trouble() -> None:
    values: npt.NDArray[np.float64] = TRUTH
    perfect = PredictorResult("ridge-cost", tuple(values.tolist()), {})
    found = recommend([perfect], TRUTH, 0.0)
    assert found is not None
    assert found.name == "ridge-cost"


def test_nothing_compared_nothing_recommended() -> None:
    assert recommend([], TRUTH, 0.01) is None
    assert recommend([PredictorResult("mlp", (1.0,), {})], TRUTH[:1], 0.01) is None


def test_another_judges_only_where_it_is_clearly_better() -> None:
    rows = [result("mlp", 0.01, shift=1), result("lightgbm", 0.00999)]
    assert most_accurate(rows, TRUTH, preferred="mlp") == "mlp"
    rows = [result("mlp", 0.05, shift=1), result("lightgbm", 0.01)]
    assert most_accurate(rows, TRUTH, preferred="mlp") == "lightgbm"
