"""The gate's verdicts: how often it fails, passes and cannot tell, with fixed seeds."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gated import store_of_models
from scipy.special import stdtrit

from latbench.comparison.gate import FAILS, Gate, holm, judge
from latbench.comparison.significance import compare
from latbench.store.sides import pair_sides

FOLDER = Path(__file__).parents[2] / "benchmarks"
QUIET, LOUD = (0.0052, 0.0092), (0.027, 0.031)  # floors that `benchmarks/floors.py` recorded


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The simulated pairs of ``benchmarks/gate.py``."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("gate_pairs")


def outcomes(pairs: Any, floors: tuple[float, float], slower: list[float], times: int,
             **more: Any) -> list[str]:  # fmt: skip
    rng = np.random.default_rng(0)
    how = pairs.Conditions(*floors, occasions=3, **more)
    return [pairs.gate(how, slower, rng).outcome for _ in range(times)]


def test_equal_code_passes_and_six_per_cent_fail(pairs: Any) -> None:
    assert set(outcomes(pairs, QUIET, [0.0] * 4, 100)) == {"passed"}
    assert outcomes(pairs, QUIET, [0.06, 0, 0, 0], 60).count("slower") >= 57


def test_what_is_too_noisy_does_not_pass(pairs: Any) -> None:
    found = outcomes(pairs, LOUD, [0.06, 0, 0, 0], 60)
    assert found.count("passed") <= 3
    assert found.count("untold") >= 45


@pytest.mark.slow
def test_the_odds_are_what_is_promised(pairs: Any) -> None:
    """Where everything is slower by the limit itself the odds to fail are the largest allowed."""
    at_limit = outcomes(pairs, QUIET, [0.03] * 8, 2000)
    assert at_limit.count("slower") <= 2000 * (FAILS + 3 * np.sqrt(FAILS / 2000))
    for more in ({}, {"in_turns": False}, {"freedom": 4.0}):
        assert outcomes(pairs, QUIET, [0.0] * 4, 2000, **more).count("slower") <= 20
    for floors in (QUIET, LOUD, (0.0148, 0.0177)):
        assert outcomes(pairs, floors, [0.06, 0, 0, 0], 1000).count("passed") <= 65


def test_all_tests_of_a_report_are_held_together() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.zeros(0)).tolist() == []


def verdict(a: Path, b: Path) -> Gate:
    return judge([compare(*sides) for sides in pair_sides(a, b, fewest=1)], 0.03)


@pytest.mark.parametrize("beside", [0, 30])
def test_what_one_network_fails_by_alone_is_chance_among_many(beside: int, tmp_path: Path) -> None:
    nets = dict.fromkeys(["net", *map(str, range(beside))], 1e-3)
    path = store_of_models(tmp_path / "a.sqlite", nets, noise=0.008, occasions=3)
    ((a, b),) = pair_sides(path, path, sets=(1, 1), fewest=1)
    shift = compare(a, b).beside_canary
    assert shift is not None
    place = [a.text(int(rank)).startswith("net@") for rank in a.ranks].index(True)
    error, degrees = np.sqrt(shift.rows.variance.total), shift.rows.variance.degrees
    needed = np.log1p(0.03) + 1.05 * stdtrit(degrees, 1 - FAILS) * error
    moved = replace(b, log_relative=b.log_relative + needed * (np.arange(len(a.ranks)) == place))
    (found,) = [j for j in judge([compare(a, moved)], 0.03).judged if j.network == "net"]
    assert (found.outcome == "slower") == (beside == 0)


def test_a_model_that_changed_stands_for_the_one_of_its_name(tmp_path: Path) -> None:
    a = store_of_models(tmp_path / "a.sqlite", {"x": 1e-3, "y": 2e-3, "z": 3e-3})
    b = store_of_models(tmp_path / "b.sqlite", {"z": 3e-3, "y": 2e-3, "x": 1.1e-3}, layers=3)
    found = verdict(a, b)
    assert {j.network: j.outcome for j in found.judged if j.network} == {
        "x": "slower", "y": "passed", "z": "passed",
    }  # fmt: skip
    assert [j.base_s for j in found.judged if j.network == "z"] == pytest.approx([3e-3], rel=0.02)


def test_models_whose_names_do_not_tell_them_apart_are_not_paired(tmp_path: Path) -> None:
    a = store_of_models(tmp_path / "a.sqlite", {"x": 1e-3, "y": 1e-3})
    store_of_models(a, {"x": 1e-3}, layers=4)
    b = store_of_models(tmp_path / "b.sqlite", {"x": 1e-3, "y": 1e-3}, layers=3)
    found = verdict(a, b)
    assert (found.missing, found.added) == (("x", "x"), ("x",))
    assert {j.network for j in found.judged} == {"y"}


def test_timings_of_one_occasion_have_its_canary_in_common(tmp_path: Path) -> None:
    nets = {"x": 1e-3}
    path = store_of_models(tmp_path / "a.sqlite", nets, occasions=1)
    ((one, _),) = pair_sides(path, path, sets=(1, 1), fewest=1)
    path = store_of_models(tmp_path / "b.sqlite", nets, occasions=3)
    ((three, _),) = pair_sides(path, path, sets=(1, 1), fewest=1)
    assert one.in_common.tolist() == [1.0]
    # Two of four timings lie in one of three occasions.
    assert three.in_common.tolist() == pytest.approx([(4 + 1 + 1) / 16 - 1 / 4])
