"""Made-up results of pruning: ``from made_pruned import``."""

from __future__ import annotations

from typing import Any

from latbench.results import PrunedResult


def made(
    budget: str = "50%", share: float = 0.5, accuracy: float = 0.9, **more: Any
) -> PrunedResult:
    """A model of 10 ms that takes a share of it now, where half of it is allowed by default."""
    before = float(more.pop("before", 10e-3))
    values: dict[str, Any] = {
        "method": "magnitude", "model": "a net@0123456789abcdef", "pruned": "left@0123456789abcdef",
        "folder": f"p/{budget}/model", "store": "side-by-side.sqlite", "backend": "simd-sparse",
        "budget": budget, "seed": 0, "budget_s": before * float(budget.rstrip("%")) / 100,
        "latency_before_s": before, "latency_s": share * before,
        "predicted_s": 0.9 * share * before,
        "noise": 0.01, "accuracy_before": 0.95, "accuracy": accuracy, "parameters_before": 1000,
        "parameters": 400, "widths_before": {"1": 8, "4": 512}, "widths": {"1": 4, "4": 64},
    }  # fmt: skip
    return PrunedResult(**(values | more))
