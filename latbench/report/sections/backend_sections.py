"""The sections of a page in reading order, and what those about backends hold."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from latbench.predictors.evaluation.recommend import recommend, recommend_for_search
from latbench.report.charts.prediction_charts import (
    backend_against_backend,
    error_distribution,
    learning_curves,
    measured_histogram,
    predicted_against_measured,
)
from latbench.report.contents import Figure, Part, Section
from latbench.report.sample import (
    Floats,
    floor_of,
    measured,
    plots_a_backend,
    points_a_plot,
    positive,
    predicted,
)
from latbench.report.sections.page_tables import (
    agreement_table,
    architectures_table,
    predictors_table,
    unique_names,
)
from latbench.report.sections.pruning_sections import pruning_section
from latbench.report.sections.search_sections import search_parts
from latbench.results import BackendResult, PredictorResult, ReportData
from latbench.text import number, plural, short_percent
from latbench.timing.metric import LATENCY
from latbench.timing.noise import reachable_error

BACKENDS_COMPARED = 7
PAIRS_DRAWN = 6
SHARED_FROM = 3  # a rank correlation of fewer says nothing


def sections(data: ReportData) -> list[Section]:
    """Returns all sections that have something to show."""
    limit, plots = points_a_plot(data), plots_a_backend(max(1, len(data.backends)))
    ends = max(5, min(25, 500 // max(1, len(data.backends))))
    names = unique_names(data.backends)
    found = [
        Section(
            f"backend-{i}",
            f"{b.metric.title} on {name}",
            tuple(_backend(b, plots, limit, ends)),
            _intro(b),
        )
        for i, (b, name) in enumerate(zip(data.backends, names, strict=True))
    ]
    if agreement := _agreement(data, limit):
        found.append(Section("agreement", "Backend against backend", (agreement,)))
    if data.searches:
        found.append(Section("searches", "Searches", tuple(search_parts(data))))
    if pruned := pruning_section(data.pruned):
        found.append(pruned)
    return found


def _intro(backend: BackendResult) -> str:
    on = f" on {backend.device}" if backend.device else ""
    failed = f"; {backend.failed:,} failed" if backend.failed else ""
    return f"{plural(len(backend.architectures), 'architecture')} measured{on}{failed}."


def noise_remark(noise_floor: float | None) -> str:
    """Says what the noise floor means for the errors beside it."""
    if noise_floor is None:
        return "Noise floor: not measured, so there is no telling how much of an error is chance."
    return (
        f"Noise floor: {short_percent(noise_floor)}. Two independent measurements of the same "
        "architecture differ by this much. An error is that of one measurement, so a perfect "
        f"predictor would err by {short_percent(reachable_error(noise_floor))}; of those that err "
        "by no more, which is better cannot be seen."
    )


def _backend(backend: BackendResult, plots: int, limit: int, ends: int) -> list[Part]:
    parts = []
    if backend.predictors:
        parts = [_scatters(backend, plots, limit), _errors(backend)]
        remarks = (*_recommended(backend), noise_remark(floor_of(backend)))
        parts.append(Part("Predictors compared", remarks, table=predictors_table(backend)))
        if (curves := learning_curves(backend)) is not None:
            parts.append(Part("Learning curves", (splits_remark(backend),), (Figure(curves),)))
    sample, title = measured_histogram(backend), backend.metric.title
    remarks = () if backend.predictors else (noise_remark(floor_of(backend)),)
    if sample is None:
        nothing = f"There is no {backend.metric.label} to show."
        return [*parts, Part(f"{title} distribution", (*remarks, nothing))]
    parts.append(Part(f"{title} distribution of the sample", remarks, (Figure(sample),)))
    parts.append(Part("Architectures", table=architectures_table(backend, ends), folded=True))
    return parts


def _recommended(backend: BackendResult) -> tuple[str, ...]:
    comparable = [p for p in backend.predictors if np.isfinite(predicted(p)).all()]
    if not positive(measured(backend)).all():
        return ()
    found = recommend(comparable, backend.measured, backend.noise_floor)
    if found is None:
        return ()
    said = (f"Recommended: {found.name}, which {found.reason}.",)
    searching = recommend_for_search(comparable, backend.measured)
    if searching is None or searching.name == found.name:
        return said
    return (*said, f"For a search: {searching.name}, which {searching.reason}.")


def _scatters(backend: BackendResult, plots: int, limit: int) -> Part:
    shown = backend.predictors[:plots]
    figures = []
    for predictor in shown:
        drawn = predicted_against_measured(backend, predictor, limit)
        figures.append(Figure(drawn, predictor.name, _undrawn(backend, predictor)))
    bands = "the light band is ±10 %"
    if floor := floor_of(backend):
        bands += f", the darker one the noise floor, ±{short_percent(floor)}"
    remarks = [
        f"The line is a perfect prediction; {bands}. Point at a dot to see its architecture, or "
        "move the focus to a plot and use the arrow keys."
    ]
    known_rows = int(positive(measured(backend)).sum())
    if known_rows > limit:
        remarks.append(
            f"Each plot shows {limit:,} of {known_rows:,} architectures, picked at random; "
            "all figures in words and tables use every one."
        )
    if unknown := len(backend.measured) - known_rows:
        remarks.append(f"{plural(unknown, 'row')} without a positive value left out.")
    if more := len(backend.predictors) - len(shown):
        remarks.append(f"{plural(more, 'further predictor')} only in the table below.")
    return Part("Predicted against measured", tuple(remarks), tuple(figures), layout="multiples")


def _undrawn(backend: BackendResult, predictor: PredictorResult) -> str:
    """What a scatter plot cannot show."""
    truth, guess = positive(measured(backend)), positive(predicted(predictor))
    if not (truth & guess).any():
        return "No architecture has both a measured and a predicted value."
    missing = int((truth & ~guess).sum())
    return f"{plural(missing, 'prediction')} not positive, not drawn." if missing else ""


def _errors(backend: BackendResult) -> Part:
    drawn = error_distribution(backend)
    if drawn is None:
        return Part("Error distribution", ("No errors to show.",))
    remark = "The further left a line, the smaller the errors."
    return Part("Error distribution", (remark,), (Figure(drawn),))


def splits_remark(backend: BackendResult) -> str:
    """Says what the learning curves are the mean of."""
    splits = max(len(p.mape) for q in backend.predictors for p in q.curve)
    return (
        f"Mean over {plural(splits, 'random split')}; thin bars reach from the best to the worst. "
        "Where a line still falls, more measurements would help; at the error of a perfect "
        "predictor they would not."
    )


Pair = tuple[str, str, int, float]


def _agreement(data: ReportData, limit: int) -> Part | None:
    """Pairs of backends that share architectures, by their latencies; None when none do."""
    backends = [b for b in data.backends if b.metric == LATENCY]
    names = unique_names(backends)[:BACKENDS_COMPARED]
    rows: list[Pair] = []
    figures: list[Figure] = []
    for (i, a), (j, b) in combinations(enumerate(backends[:BACKENDS_COMPARED]), 2):
        shared, x, y = shared_rows(a, b)
        if len(shared) < SHARED_FROM:
            continue
        rho = spearman(x, y)
        rows.append((names[i], names[j], len(shared), rho))
        if len(figures) < PAIRS_DRAWN:
            drawn = backend_against_backend(shared, x, y, (names[i], names[j]), limit)
            caption = f"Spearman {number(rho)} over {plural(len(shared), 'architecture')}."
            figures.append(Figure(drawn, f"{names[i]} and {names[j]}", caption))
    if not rows:
        return None
    remarks = ["Points on a rising curve: the backends rank architectures alike (Spearman near 1)."]
    if len(backends) > BACKENDS_COMPARED:
        remarks.append(f"Only the first {BACKENDS_COMPARED} backends are compared.")
    table = agreement_table(rows) if len(rows) > 1 else None
    return Part("The same architectures elsewhere", tuple(remarks), tuple(figures), table=table,
                layout="multiples")  # fmt: skip


def shared_rows(a: BackendResult, b: BackendResult) -> tuple[list[str], Floats, Floats]:
    """Returns the architectures with a positive value on both, and these values."""
    second = dict(zip(b.architectures, measured(b).tolist(), strict=True))
    first = dict(zip(a.architectures, measured(a).tolist(), strict=True))
    shared = [n for n, s in first.items() if 0 < s < np.inf and 0 < second.get(n, 0) < np.inf]
    return shared, np.array([first[n] for n in shared]), np.array([second[n] for n in shared])


def spearman(x: Floats, y: Floats) -> float:
    """Returns Spearman's rank correlation; NaN when one side is constant."""
    from scipy.stats import rankdata

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
