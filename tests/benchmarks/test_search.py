"""What ``benchmarks/search.py`` makes of found networks: which goals count, and against what."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, by its path: ``search`` is a package too."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("search_benchmark", FOLDER / "search.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "search_benchmark", module)
    spec.loader.exec_module(module)
    return module


def figures(benchmark: Any, *goals: tuple[str, list[float], list[float]]) -> dict[str, Any]:
    seeds = {
        goal: [
            benchmark.Found("b", goal, latency, latency, True, accuracy)
            for latency, accuracy in zip(latencies, accuracies, strict=True)
        ]
        for goal, latencies, accuracies in goals
    }
    return {f.name: f for f in benchmark.search_figures("b", seeds)}


ALONE = ("λ = 0", [1.0, 2.0], [0.50, 0.52])  # the deviation is 1.41 points


def test_a_goal_counts_that_is_as_accurate(benchmark: Any) -> None:
    found = figures(
        benchmark, ALONE, ("near", [0.5, 1.2], [0.49, 0.51]), ("far", [0.1, 0.1], [0.48, 0.50])
    )
    verdict = found["b: less latency at equal accuracy"]
    # Each seed against accuracy alone of the same seed: 50 % and 40 %.
    assert verdict.value == pytest.approx(45.0)
    assert verdict.met is True
    assert found["b, near: accuracy over λ = 0"].value == pytest.approx(-1.0)


def test_nothing_counts_that_is_less_accurate_or_too_slow(benchmark: Any) -> None:
    verdict = "b: less latency at equal accuracy"
    assert figures(benchmark, ALONE, ("far", [0.1, 0.1], [0.48, 0.50]))[verdict].value == 0
    slow = figures(benchmark, ALONE, ("slow", [0.8, 1.6], [0.60, 0.60]))[verdict]
    assert (slow.value, slow.met) == (pytest.approx(20.0), False)


def test_the_quick_run_is_the_same_file_with_less_in_it(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "data_folder", lambda: Path("/data"))
    full, quick = benchmark.configure(2, False), benchmark.configure(2, True)
    assert full.count("seed = 2") == quick.count("seed = 2") == 3
    assert "epochs = 8" in full
    assert "epochs = 8" not in quick
    assert 'data = "/data/cifar10_10k_2k.npz"' in full
