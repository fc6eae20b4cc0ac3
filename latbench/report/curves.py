"""The learning curves of the predictors compared on one backend."""

from __future__ import annotations

from markupsafe import Markup

from latbench.report import marks
from latbench.report.data import BackendResult, CurvePoint
from latbench.report.sample import reachable_of
from latbench.report.svg import Axis, Frame, log_span
from latbench.report.text import known, percent, plural


def curve_of(points: tuple[CurvePoint, ...]) -> list[CurvePoint]:
    """Points that a logarithmic axis can show."""
    return [p for p in points if p.n > 0 and all(known(e) and e > 0 for e in p.mape)]


def learning_curves(backend: BackendResult) -> Markup:
    """MAPE against the number of rows fitted on, one line a predictor, and that of a perfect
    one on measurements of this noise.

    The line is the mean over random splits, the bars reach from the best to the worst. Empty
    without curves.
    """
    curves = {i: curve_of(p.curve) for i, p in enumerate(backend.predictors)}
    points = [p for curve in curves.values() for p in curve]
    if not points:
        return Markup("")
    reachable = reachable_of(backend)
    errors = [e for p in points for e in p.mape]
    x_axis = Axis(*log_span(p.n for p in points), "Architectures fitted on", log=True)
    label = "Mean absolute relative error (MAPE)"
    y_axis = Axis(
        *log_span([*errors, *([reachable] if reachable else [])]), label, log=True, percent=True
    )
    frame = Frame(x_axis, y_axis, 420, 290)
    drawn: list[Markup] = []
    said = []
    for i, curve in curves.items():
        if curve:
            name = backend.predictors[i].name
            drawn.append(marks.whiskers(frame, [(p.n, min(p.mape), max(p.mape)) for p in curve], i))
            drawn.append(marks.line(frame, [(p.n, p.mean) for p in curve], i, name))
            said.append(f"{name}: {_from_to(curve)}")
    if reachable:
        means = [[(p.n, p.mean) for p in curve] for curve in curves.values()]
        drawn += marks.levels(frame, {reachable: f"perfect predictor {percent(reachable)}"}, means)
    return frame.draw(drawn, f"Learning curves on {backend.backend}", "; ".join(said) + ".")


def _from_to(curve: list[CurvePoint]) -> str:
    first, last = curve[0], curve[-1]
    return f"{percent(first.mean)} from {first.n:,}, {percent(last.mean)} from {last.n:,}"


def splits_remark(backend: BackendResult) -> str:
    """What the curves are the mean of."""
    splits = max(len(p.mape) for q in backend.predictors for p in q.curve)
    return (
        f"Mean over {plural(splits, 'random split')}; thin bars reach from the best to the worst. "
        "Where a line still falls, more measurements would help; at the error of a perfect "
        "predictor they would not."
    )
