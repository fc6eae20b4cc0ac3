"""The plots of searches: their course over epochs, and what they predicted against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latbench.metric import Metric
from latbench.report import marks
from latbench.report.data import SearchEpoch, SearchResult
from latbench.report.svg import Axis, Frame, element, group, span
from latbench.report.text import known, listing, shorten, shown

RUNS_DRAWN = 60
ROW = 38  # pixels of a run in the dumbbell plot


@dataclass(frozen=True)
class Reading:
    """What is read off an epoch: how it is called, its value (None or NaN where there is none), and
    whether it is a share, or a cost in the unit that is shown."""

    label: str
    read: Callable[[SearchEpoch], float | None]
    is_share: bool = False
    is_cost: bool = False
    # Of a prediction: who made it, and the label with ``{}`` for their names.
    predictor: Callable[[SearchResult], str] | None = None
    by: str = ""

    def title(self, searches: Sequence[SearchResult]) -> str:
        """The label, with the predictors that made the searches' values where they are known."""
        who = predictors(searches, self.predictor) if self.predictor else ""
        return self.by.format(who) if who else self.label


def predictors(searches: Sequence[SearchResult], predictor: Callable[[SearchResult], str]) -> str:
    """The searches' predictors of a kind, each once; empty where any search names none."""
    names = dict.fromkeys(predictor(s) for s in searches)
    return "" if "" in names else listing(list(names))


def courses(metric: Metric) -> tuple[Reading, ...]:
    """What is drawn over the epochs of searches for a metric."""
    unit, scale = metric.shown_unit, metric.scale
    return (
        Reading("Training accuracy", lambda e: e.train_accuracy, is_share=True),
        Reading("Validation accuracy", lambda e: e.validation_accuracy, is_share=True),
        Reading(
            f"Expected {metric.label} ({unit})",
            lambda e: scale * e.expected,
            is_cost=True,
            predictor=lambda s: s.guide,
            by=f"Expected {metric.label} by {{}} ({unit})",
        ),
        Reading(
            f"Predicted {metric.label} of what would be derived ({unit})",
            lambda e: None if e.derived is None else scale * e.derived,
            is_cost=True,
            predictor=lambda s: s.keeper,
            by=f"If derived: {metric.label} by {{}} ({unit})",
        ),
        Reading("Entropy of the operations (nats)", lambda e: e.entropy),
        Reading("Multiplier of the target", lambda e: e.multiplier),
    )


def series_of(searches: Sequence[SearchResult]) -> tuple[list[str], list[int]]:
    """Names for the legend, and each run's series among them.

    Up to seven runs have one style each; more share that of their backend and penalty weight.
    """
    if len(searches) <= marks.STYLES:
        return [shorten(s.label, 60) for s in searches], list(range(len(searches)))
    keys = [f"{s.backend}, {s.goal}" for s in searches]
    names = list(dict.fromkeys(keys))
    return names, [names.index(key) for key in keys]


def course(
    searches: Sequence[SearchResult], series: Sequence[int], what: Reading, backend: str = ""
) -> Markup:
    """One quantity over the epochs of all runs, all on ``backend`` if it is given; of a cost, with
    the targets. Empty when no run has it."""
    lines = [[(float(e.epoch), _value(what, e)) for e in s.history] for s in searches]
    values = [v for line in lines for _, v in line if math.isfinite(v)]
    if not values:
        return Markup("")
    targets = _targets(searches) if what.is_cost else {}
    x_axis = Axis(*span((x for line in lines for x, _ in line), 0.02), "Epoch", whole=True)
    title = what.title([s for s in searches if s.history])
    label = f"{title}, {shorten(backend, 24)}" if backend else title
    y_axis = Axis(*span([*values, *targets], 0.06), label, percent=what.is_share)
    frame = Frame(x_axis, y_axis, 360, 240)
    drawn = [
        marks.line(frame, line, n, s.label)
        for s, line, n in zip(searches, lines, series, strict=True)
        if line
    ]
    drawn += marks.levels(frame, targets, lines)
    on = f" on {backend}" if backend else ""
    name = f"{title} over the epochs of the search{on}"
    return frame.draw(
        drawn, name, f"{title}{', per cent' if what.is_share else ''}: {_ends(searches, what)}."
    )


def _value(what: Reading, epoch: SearchEpoch) -> float:
    value = what.read(epoch)
    return math.nan if value is None else value


def _targets(searches: Sequence[SearchResult]) -> dict[float, str]:
    """Where the searches' targets are, in the unit that is shown, and what they are called."""
    found = {s.metric.scale * s.target: s for s in searches if known(s.target) and s.history}
    return {at: f"target {shown(s.metric, s.target)}" for at, s in found.items()}


def _ends(searches: Sequence[SearchResult], what: Reading) -> str:
    said = []
    for s in searches:
        if s.history and known(value := what.read(s.history[-1])):
            said.append(f"{s.label} ends at {100 * value if what.is_share else value:.3g}")
    return "; ".join(said)


def dumbbells(searches: Sequence[SearchResult]) -> Markup:
    """Predicted (hollow) and measured (filled) cost of each network derived for one metric on one
    backend.

    The shaded bar is the measured cost ± its noise. Empty when nothing is known.
    """
    runs = [s for s in searches if known(s.predicted) or known(s.measured)]
    metric = searches[0].metric
    values = [metric.scale * v for s in runs for v in (s.predicted, s.measured) if v is not None]
    values = [v for v in values if math.isfinite(v)]
    if not values:
        return Markup("")
    values += [metric.scale * end for s in runs for end in _bar(s)]
    height = ROW * len(runs) + 58
    label = f"{metric.title} of the derived network ({metric.shown_unit})"
    x_axis = Axis(*span(values, 0.08), label)
    frame = Frame(x_axis, Axis(0, len(runs), ""), 420, height, show_y=False)
    drawn = [_dumbbell(frame, s, i) for i, s in enumerate(runs)]
    said = "; ".join(f"{s.label}: {_predicted_and_measured(s)}" for s in runs)
    return frame.draw(
        drawn, f"Predicted and measured {metric.label} of the derived networks", f"{said}."
    )


def _predicted_and_measured(run: SearchResult) -> str:
    texts = [shown(run.metric, value) for value in (run.predicted, run.measured)]
    return f"predicted {texts[0]}{f' by {run.judge}' if run.judge else ''}, measured {texts[1]}"


def _bar(run: SearchResult) -> tuple[float, ...]:
    """The ends of the measured cost ± its noise; none where either is not known."""
    noise = run.noise.get(run.backend)
    if not noise or not known(run.measured):
        return ()
    return run.measured * (1 - noise), run.measured * (1 + noise)


def _dumbbell(frame: Frame, run: SearchResult, row: int) -> Markup:
    y = frame.box[1] + ROW * row + 26
    scale = run.metric.scale
    parts = [element("title", f"{run.label}: {_predicted_and_measured(run)}")]
    parts.append(element("text", shorten(run.label, 60), class_="note", x=frame.left + 2, y=y - 11))
    at = [frame.x(scale * v) if known(v) and v is not None else None
          for v in (run.predicted, run.measured)]  # fmt: skip
    if ends := _bar(run):
        left, right = (frame.x(scale * end) for end in ends)
        parts.append(
            element("rect", class_="spread", x=left, y=y - 6, width=right - left, height=12)
        )
    if at[0] is not None and at[1] is not None:
        parts.append(element("path", class_="line", d=f"M{at[0]} {y}H{at[1]}"))
    if at[0] is not None:
        parts.append(element("circle", class_="hollow", cx=at[0], cy=y, r=4.5))
    if at[1] is not None:
        parts.append(element("circle", class_="full", cx=at[1], cy=y, r=4.5))
    return group(parts, class_="dumbbell s0")
