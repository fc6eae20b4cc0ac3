"""The page's parts in reading order, each a heading with its figures, tables and remarks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from markupsafe import Markup

from latbench.metric import LATENCY
from latbench.noise import reachable_error
from latbench.numerals import number
from latbench.predictors.recommend import recommend, recommend_for_search
from latbench.report import plots
from latbench.report.curves import learning_curves, splits_remark
from latbench.report.data import BackendResult, PredictorResult, ReportData
from latbench.report.marks import legend
from latbench.report.parts import Figure, Part, Section
from latbench.report.sample import (
    PLOTS_A_BACKEND,
    Floats,
    Names,
    floor_of,
    measured,
    points_a_plot,
    positive,
    predicted,
)
from latbench.report.search_parts import search_parts
from latbench.report.tables import (
    agreement_table,
    architectures_table,
    predictors_table,
    unique_names,
)
from latbench.report.text import percent, plural, shorten

BACKENDS_COMPARED = 7
PAIRS_DRAWN = 6
SHARED_FROM = 3  # a rank correlation of fewer says nothing


def sections(data: ReportData, page: Names) -> list[Section]:
    """All sections that have something to show."""
    limit = points_a_plot(data)
    ends = max(5, min(25, 500 // max(1, len(data.backends))))
    names = unique_names(data.backends)
    found = [
        Section(
            f"backend-{i}",
            f"{b.metric.title} on {name}",
            tuple(_backend(b, limit, ends, page)),
            _intro(b),
        )
        for i, (b, name) in enumerate(zip(data.backends, names, strict=True))
    ]
    if agreement := _agreement(data, limit, page):
        found.append(Section("agreement", "Backend against backend", (agreement,)))
    if data.searches:
        found.append(Section("searches", "Searches", tuple(search_parts(data))))
    return found


def _intro(backend: BackendResult) -> str:
    on = f" on {backend.device}" if backend.device else ""
    failed = f"; {backend.failed:,} failed" if backend.failed else ""
    return f"{plural(len(backend.architectures), 'architecture')} measured{on}{failed}."


def noise_remark(noise_floor: float | None) -> str:
    """What the noise floor means for the errors beside it."""
    if noise_floor is None:
        return "Noise floor: not measured, so there is no telling how much of an error is chance."
    return (
        f"Noise floor: {percent(noise_floor)}. Two independent measurements of the same "
        "architecture differ by this much. An error is that of one measurement, so a perfect "
        f"predictor would err by {percent(reachable_error(noise_floor))}; of those that err by no "
        "more, which is better cannot be seen."
    )


def _backend(backend: BackendResult, limit: int, ends: int, page: Names) -> list[Part]:
    parts = []
    if backend.predictors:
        parts = [_scatters(backend, limit, page), _errors(backend)]
        remarks = (*_recommended(backend), noise_remark(floor_of(backend)))
        parts.append(Part("Predictors compared", remarks, table=predictors_table(backend)))
        if curves := learning_curves(backend):
            remark = (splits_remark(backend),)
            parts.append(Part("Learning curves", remark, (Figure(curves),), _legend(backend)))
    sample, title = plots.histogram(backend), backend.metric.title
    remarks = () if backend.predictors else (noise_remark(floor_of(backend)),)
    if not sample:
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


def _scatters(backend: BackendResult, limit: int, page: Names) -> Part:
    shown = backend.predictors[:PLOTS_A_BACKEND]
    figures = []
    for i, predictor in enumerate(shown):
        drawn = plots.predicted_against_measured(backend, predictor, i, limit, page)
        caption = _undrawn(backend, predictor)
        figures.append(Figure(drawn, predictor.name, caption))
    bands = "the light band is ±10 %"
    if floor := floor_of(backend):
        bands += f", the darker one the noise floor, ±{percent(floor)}"
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
    drawn = plots.error_distribution(backend)
    remark = "The further left a line, the smaller the errors." if drawn else "No errors to show."
    figures = (Figure(drawn),) if drawn else ()
    return Part("Error distribution", (remark,), figures, _legend(backend) if drawn else Markup(""))


def _legend(backend: BackendResult) -> Markup:
    """Of plots with a line for each predictor."""
    return legend([shorten(p.name, 60) for p in backend.predictors], True)


Pair = tuple[str, str, int, float]


def _agreement(data: ReportData, limit: int, page: Names) -> Part | None:
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
            drawn = plots.backend_against_backend(shared, x, y, (names[i], names[j]), limit, page)
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
    """Architectures with a positive value on both, and these values."""
    second = dict(zip(b.architectures, measured(b).tolist(), strict=True))
    first = dict(zip(a.architectures, measured(a).tolist(), strict=True))
    shared = [n for n, s in first.items() if 0 < s < np.inf and 0 < second.get(n, 0) < np.inf]
    return shared, np.array([first[n] for n in shared]), np.array([second[n] for n in shared])


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation; NaN when one side is constant."""
    from scipy.stats import rankdata

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
