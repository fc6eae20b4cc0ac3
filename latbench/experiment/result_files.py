"""The files in which an experiment keeps its results: values in their metric's unit, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latbench.files import read_json
from latbench.predictors.card import current_metrics
from latbench.results import (
    CurvePoint,
    PredictorCosts,
    PredictorResult,
    SearchEpoch,
    SearchResult,
    Stated,
)
from latbench.timing.metric import LATENCY, parse_metric

# Names from when there was no other metric than latency.
_OLDER = {
    "predicted_s": "predicted",
    "measured_s": "measured",
    "measured_elsewhere_s": "measured_elsewhere",
    "expected_latency_s": "expected",
}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {_OLDER.get(key, key): value for key, value in values.items()}


# What follows from the other values: for readers. The older ones were bare comparisons.
_DERIVED = ("verdict", "verdicts", "met_measured")


def result_json(result: SearchResult) -> dict[str, Any]:
    """Returns a finished search as JSON values. ``met`` is the prediction's word on the limit,
    ``verdict`` the measurement's, null where there is none; ``verdicts`` has it for each
    backend."""
    return {
        **dataclasses.asdict(result),
        "history": [epoch.values() for epoch in result.history],
        "metric": result.metric.name,
        "verdict": result.verdict,
        "verdicts": {name: one.verdict for name, one in result.verdicts.items()},
    }


def load_result(path: Path) -> SearchResult:
    """Reads the finished search in a ``result.json``."""
    fields = _renamed(read_json(path)["result"])
    for name in _DERIVED:
        fields.pop(name, None)
    fields["metric"] = parse_metric(fields.get("metric", LATENCY.name))
    for name in ("accuracies", "together", "doubts"):
        fields[name] = tuple(fields.get(name, ()))
    fields["stated"] = {k: Stated(**v) for k, v in fields.get("stated", {}).items()}
    fields["history"] = tuple(SearchEpoch.of(_renamed(epoch)) for epoch in fields["history"])
    return SearchResult(**fields)


def comparison_json(results: Sequence[PredictorResult]) -> list[dict[str, Any]]:
    """Returns compared predictors as JSON values."""
    return [dataclasses.asdict(r) for r in results]


def load_comparison(path: Path) -> tuple[PredictorResult, ...]:
    """Reads the predictor results in a ``comparison.json``."""
    rows = [_renamed(row) for row in read_json(path)["results"]]
    return tuple(
        PredictorResult(
            r["name"], tuple(r["predicted"]),
            current_metrics({k: (v[0], v[1], v[2]) for k, v in r["metrics"].items()}),
            PredictorCosts(**r["costs"]) if r.get("costs") else None,
            tuple(CurvePoint(p["n"], tuple(p["mape"])) for p in r.get("curve", ())),
            bool(r.get("differentiable")),
        )
        for r in rows
    )  # fmt: skip
