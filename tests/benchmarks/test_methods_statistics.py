"""What ``benchmarks/methods.py`` says of differences over seeds."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats


@pytest.fixture
def statistics(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("methods_statistics")


def test_a_difference_stands_beside_its_interval(statistics: ModuleType) -> None:
    compared = statistics.compared
    rng = np.random.default_rng(0)
    values = {"a": rng.normal(90, 1, 6), "b": rng.normal(90.2, 1, 6), "c": rng.normal(80, 0.1, 6)}
    found = {f.name: f.value for f in compared(values, "a", "%")}
    assert len(found) == 6
    assert found["b over a (within the seeds' deviation)"] == pytest.approx(
        values["b"].mean() - values["a"].mean()
    )
    assert "c over a (beyond the seeds' deviation)" in found
    interval = stats.ttest_ind(values["c"], values["a"], equal_var=False).confidence_interval(0.95)
    assert found["c over a, low end"] == pytest.approx(interval.low)
    assert found["c over a, high end"] == pytest.approx(interval.high)


def test_without_any_spread_the_difference_is_all(statistics: ModuleType) -> None:
    compared = statistics.compared
    found = compared({"a": np.array([1.0, 1.0]), "b": np.array([2.0, 2.0])}, "a", "%")
    assert [f.value for f in found] == [1.0, 1.0, 1.0]
    assert compared({"a": np.array([1.0]), "b": np.array([2.0])}, "a", "%") == []


def test_means_have_their_deviation(statistics: ModuleType) -> None:
    mean, deviation = statistics.told("x", np.array([1.0, 3.0]), "%")
    assert (mean.value, deviation.value, mean.n) == (2.0, pytest.approx(2**0.5), 2)
