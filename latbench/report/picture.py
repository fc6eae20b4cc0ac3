"""The main charts of a report as one picture in a file: PNG or SVG."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

from latbench.errors import NotEnoughData
from latbench.report.charts.change_charts import (
    change_against_latency,
    change_histogram,
    distributions,
)
from latbench.report.charts.prediction_charts import (
    error_distribution,
    measured_histogram,
    predicted_against_measured,
)
from latbench.report.charts.pruning_charts import pruned_front
from latbench.report.charts.sweep_charts import sweep_charts
from latbench.report.charts.width_charts import left_chart
from latbench.report.page import save
from latbench.report.sections.front_sections import fronts
from latbench.report.sections.headline import best_of
from latbench.report.theme import LIGHT, LOCALE, config
from latbench.results import BackendResult, PrunedResult, ReportData

if TYPE_CHECKING:
    from latbench.comparison.significance import Comparison


def picture_of(data: ReportData) -> alt.VConcatChart:
    """Joins the main charts of a report, a row for each backend, one for the searches and one for
    pruned models.

    A backend's are its best predictor's and the errors of all, or else where its values lie; the
    searches' and the pruned models' are their fronts.

    Raises NotEnoughData when there is nothing to draw.
    """
    rows = [row for backend in data.backends if (row := _backend(backend))]
    searches = [s for s in data.searches if s.metric == data.searches[0].metric]
    found = [front.properties(title=name) for name, front in fronts(searches).items()]
    pruned = pruned_front(data.pruned)
    last = [] if pruned is None else [[pruned.properties(title="pruned")]]
    return _rows([*rows, *([found] if found else []), *last])


def picture_of_pruned(results: Sequence[PrunedResult]) -> alt.VConcatChart:
    """Joins the front of a model's budgets, where there are enough for one, and a row for each
    result with what is left of each layer."""
    front = pruned_front(results)
    layers = [
        [left_chart(one).properties(title=f"{one.budget}{f', seed {one.seed}' * bool(one.seed)}")]
        for one in results
    ]
    return _rows([*([] if front is None else [[front]]), *layers])


def picture_of_changes(comparisons: Sequence[Comparison]) -> alt.VConcatChart:
    """Joins the charts of the changes between two sides, a row for each backend."""
    return _rows(
        [change_against_latency(c), change_histogram(c)] if c.paired else [distributions(c)]
        for c in comparisons
    )


def picture_of_sweep(axes: Sequence[str], points: Sequence[Mapping[str, Any]]) -> alt.VConcatChart:
    """Joins the charts of a sweep, see ``latbench.report.charts.sweep_charts``."""
    return _rows([sweep_charts(axes, points)])


def _backend(backend: BackendResult) -> list[alt.LayerChart]:
    best, name = best_of(backend.predictors), backend.backend
    drawn = {name: measured_histogram(backend)}
    if best is not None:
        scatter = predicted_against_measured(backend, best)
        drawn = {f"{best.name} on {name}": scatter, name: error_distribution(backend)}
    return [c.properties(title=title) for title, c in drawn.items() if c is not None]


def _rows(rows: Iterable[Sequence[alt.LayerChart]]) -> alt.VConcatChart:
    apart: dict[str, Any] = dict.fromkeys(("color", "shape", "strokeDash"), "independent")
    joined = [alt.hconcat(*row).resolve_scale(**apart) for row in rows]
    if not joined:
        raise NotEnoughData("there is nothing to draw: no architecture has a value")
    whole: alt.VConcatChart = alt.vconcat(*joined).resolve_scale(**apart)
    return whole


def save_picture(chart: alt.TopLevelMixin, path: str | os.PathLike[str]) -> None:
    """Writes a chart in the report's colours to a file, whole or not at all: as SVG where its name
    ends so, else as PNG.

    Raises StoreError when the folder does not exist or cannot be written.
    """
    specification = chart.to_dict(validate=False)
    specification["config"] = {**config(LIGHT), "background": LIGHT["page"]}
    if Path(path).suffix.lower() == ".svg":
        save(vl_convert.vegalite_to_svg(specification, format_locale=LOCALE), path)
    else:
        save(vl_convert.vegalite_to_png(specification, scale=2, format_locale=LOCALE), path)
