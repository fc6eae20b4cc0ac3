"""The chart of a profile: a bar a kernel, coloured by kind, and the kinds' sums."""

from __future__ import annotations

from typing import Any

import pytest
from loading import as_model

from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv
from latbench.predictors.layer_shares import PredictedNetwork
from latbench.profiling import ProfileRuns, profile_network
from latbench.report.charts.profile_charts import OTHERS, profile_chart
from latbench.report.theme import COLOURS
from latbench.testing import CostModelBackend
from latbench.testing.networks import conv_chain

COST = CostModelBackend(base_s=1e-3, s_per_layer=1e-4)


def drawn(network: Network, said: PredictedNetwork | None = None) -> Any:
    runs = ProfileRuns(1, 1)
    return profile_chart(profile_network(as_model(network), COST, runs, prediction=said)).to_dict()


def rows_of(spec: Any, part: int, layer: int = 0) -> list[dict[str, Any]]:
    chart = spec["vconcat"][part]
    data = chart["layer"][layer].get("data") or chart["data"]  # of all layers, where it is one
    found: list[dict[str, Any]] = spec["datasets"][data["name"]]
    return found


def test_a_bar_a_kernel_and_a_bar_a_kind() -> None:
    spec = drawn(conv_chain(layers=2, channels=4, resolution=8))
    bars, kinds = rows_of(spec, 0), rows_of(spec, 1)
    assert [row["place"] for row in bars] == list(range(1, 9))
    assert bars[1]["does"] == bars[1]["shown"] == "conv 3x3"
    assert bars[0]["does"] == "the runtime's own"
    assert sum(row["share"] for row in bars) == pytest.approx(1, rel=1e-3)
    by_kind = {row["kind"]: row["latency"] for row in kinds}
    assert by_kind["conv 3x3"] == pytest.approx(bars[1]["latency"] + bars[3]["latency"], rel=1e-3)
    assert [len(part["layer"]) for part in spec["vconcat"]] == [1, 1]  # nothing is predicted
    assert "the runtime's own" in spec["vconcat"][1]["description"]


def test_predictions_are_ticks() -> None:
    said = PredictedNetwork(2e-3, 1e-3, (0.0, *[2e-4] * 7))
    spec = drawn(conv_chain(layers=2, channels=4, resolution=8), said)
    assert [row["predicted"] for row in rows_of(spec, 0, 1)] == [0.2] * 7
    assert {row["kind"]: row["predicted"] for row in rows_of(spec, 1, 1)}["conv 3x3"] == 0.4


def test_more_kinds_than_colours_are_others() -> None:
    b = NetworkBuilder((1, 4, 32, 32))
    x = b.input
    for kernel in range(len(COLOURS) + 2):
        x = b.add(Conv(4, kernel=2 * kernel + 1, padding=kernel), x)
    spec = drawn(b.build(x))
    shown = {row["shown"] for row in rows_of(spec, 0)}
    assert OTHERS in shown
    assert len(shown) == len(COLOURS)
