"""A search's ``result.json``, where something is not known."""

from __future__ import annotations

import json
import math
from pathlib import Path

from latbench.experiment.progress_notes import search_note
from latbench.experiment.result_files import load_result, result_json
from latbench.files import write_json
from latbench.results import SearchEpoch, SearchResult
from latbench.timing.metric import LATENCY

UNKNOWN = SearchEpoch(0, 0.5, 0.4, math.nan, math.nan)  # the weights alone were trained
KNOWN = SearchEpoch(1, 0.5, 0.4, 2e-3, 1.5, 3e-3, 0.2, "a")


def test_what_is_not_known_is_null_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result = SearchResult("λ = 0", "b", 0.0, "a", (UNKNOWN, KNOWN), 1e-3)
    write_json(path, {"inputs": "x", "result": result_json(result)})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    stored = json.loads(path.read_text(), parse_constant=refuse)["result"]["history"]
    assert (stored[0]["expected"], stored[0]["entropy"]) == (None, None)
    first, second = load_result(path).history
    assert math.isnan(first.expected)
    assert math.isnan(first.entropy)
    assert (first.derived, first.validation_accuracy, second) == (None, 0.4, KNOWN)


def test_a_note_leaves_out_what_is_not_known() -> None:
    assert search_note(UNKNOWN, LATENCY, "g", "k") == "supernet's validation accuracy 40.0 %"
    assert search_note(KNOWN, LATENCY, "g", "k") == (
        "supernet's validation accuracy 40.0 %, expected 2.000 ms (g), derived 3.00 ms (k), "
        "multiplier 0.2, entropy 1.50"
    )
