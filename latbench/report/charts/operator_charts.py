"""The chart of operators: which ones each runtime likes, at every layer, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

import latbench.report.charts.marks as marks
from latbench.report.theme import LIGHT
from latbench.text import listing

CELL = 14  # pixels a side of a place
DIFFERS = "≠"  # the mark, and the column that it stands in

Pools = Mapping[str, Mapping[str, Sequence[str]]]  # by backend and layer
Scores = Mapping[str, Mapping[tuple[str, str], float]]  # by backend, layer and operator
Others = Mapping[str, Mapping[str, Sequence[str]]]  # backends by backend and layer


def operators_chart(
    scores: Scores, pools: Pools, operators: Sequence[str], layers: Sequence[str], differ: Others
) -> alt.VConcatChart:
    """Draws for each backend how much capacity each operator gives for its latency at each layer.

    The darker a place, the higher its rank among the operators of its layer; a ring is round those
    of the pool. A place is empty where the operator could not be timed. A sign of inequality is
    behind each layer whose pool differs from another backend's beyond the noise.

    Args:
        scores: The scores of each backend.
        pools: The pools of each backend.
        operators: The names of all operators, a column each.
        layers: The names of all layers, a row each.
        differ: Of each backend, the others whose pool of a layer differs from its own.

    Returns:
        The chart, one below the other for the backends.
    """
    drawn = []
    for backend, of in scores.items():
        rows = []
        for layer in layers:
            known = {o: of[layer, o] for o in operators if (layer, o) in of}
            ranked = sorted(known, key=known.__getitem__)
            share = {o: (i + 1) / len(ranked) for i, o in enumerate(ranked)}
            rows += [
                {
                    "layer": layer,
                    "operator": o,
                    "rank": share[o],
                    "score": of[layer, o],
                    "chosen": o in pools[backend][layer],
                }
                for o in ranked
            ]
        marked = {layer: others for layer in layers if (others := differ[backend][layer])}
        drawn.append(_of_backend(backend, rows, operators, layers, marked))
    chart: alt.VConcatChart = alt.vconcat(*drawn)
    return chart


def _of_backend(
    backend: str, rows: Sequence[Mapping[str, object]], operators: Sequence[str],
    layers: Sequence[str], differ: Mapping[str, Sequence[str]],
) -> alt.LayerChart:  # fmt: skip
    columns = [*operators, DIFFERS]
    x = alt.X("operator:N", title=None, sort=columns, axis=alt.Axis(labelAngle=-60))
    y = alt.Y("layer:N", title=None, sort=list(layers))
    tooltip = [
        alt.Tooltip("layer:N", title="Layer"), alt.Tooltip("operator:N", title="Operator"),
        alt.Tooltip("rank:Q", title="Rank in its layer", format=marks.PERCENT),
        alt.Tooltip("score:Q", title="Score", format=marks.PLAIN),
    ]  # fmt: skip
    places = (
        alt.Chart(marks.data(dict(row) for row in rows))
        .mark_square(color=LIGHT["c0"], size=CELL * CELL)
        .encode(x, y, alt.Opacity("rank:Q", legend=None), tooltip=tooltip)
    )
    chosen = (
        alt.Chart(marks.data(dict(row) for row in rows if row["chosen"]))
        .mark_point(color=LIGHT["c1"], size=CELL * CELL, shape="circle", strokeWidth=2)
        .encode(x, y, tooltip=tooltip)
    )
    unlike = (
        alt.Chart(
            marks.data(
                {"layer": layer, "operator": DIFFERS, "others": listing(list(others))}
                for layer, others in differ.items()
            )
        )
        .mark_text(text=DIFFERS, color=LIGHT["ink"], fontSize=CELL)
        .encode(x, y, tooltip=[tooltip[0], alt.Tooltip("others:N", title="Differs from")])
    )
    kept = [f"{row['layer']}: {row['operator']}" for row in rows if row["chosen"]]
    said = listing(kept[:12]) + (" and so on" if len(kept) > 12 else "")
    text = f"Operators of {backend} by their rank in each layer; chosen are {said}."
    if differ:
        text += f" In {listing(list(differ))} its pool differs from another's beyond the noise."
    size = (CELL * len(columns), CELL * len(layers))
    layered = marks.layered([places, chosen, unlike], text, size)
    layered.title = backend
    return layered
