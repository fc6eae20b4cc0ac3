"""The summary's sentences on pruned models, and the section about them."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.comparison.fronts import BudgetMean, budget_means, by_model
from latbench.report.charts.pruning_charts import pruned_front
from latbench.report.charts.width_charts import left_chart
from latbench.report.contents import Entry, Figure, Part, Section, Table
from latbench.results import PrunedResult
from latbench.text import NBSP, magnitude, number, plural, short_percent, shorten, signed
from latbench.timing.metric import LATENCY, shown
from latbench.timing.verdicts import ABOVE_BUDGET

DRAWN = 12  # pictures of layers
UNIT = LATENCY.shown_unit


def pruning_sentences(results: Sequence[PrunedResult]) -> list[str]:
    """Returns a sentence for each pruned model, about its fastest budget; empty without any."""
    return [_sentence(budget_means(of)) for of in by_model(results).values()]


def _sentence(means: Sequence[BudgetMean]) -> str:
    before, *pruned = means
    fastest = min(pruned, key=lambda one: one.latency_s)
    first, seeds = fastest.results[0], len(fastest.results)
    kept = sum(one.kept for one in fastest.results)
    held = "kept" if kept == seeds else f"kept from {kept} of {seeds} seeds" if kept else "missed"
    many = f" This is the fastest of {len(pruned)} budgets." if len(pruned) > 1 else ""
    mean = f" (means over {plural(seeds, 'seed')})" if seeds > 1 else ""
    return (
        f"On {first.backend}, {_name(first)} pruned to {first.budget} takes "
        f"{shown(LATENCY, fastest.latency_s)} where it took {shown(LATENCY, before.latency_s)}, "
        f"as measured: {number(before.latency_s / fastest.latency_s, 2)} times as fast, the budget "
        f"{held}; accuracy {short_percent(fastest.accuracy)} against "
        f"{short_percent(before.accuracy)}{mean}.{many}"
    )


def pruning_section(results: Sequence[PrunedResult]) -> Section | None:
    """Makes the section about pruned models; None without any."""
    if not results:
        return None
    parts = []
    if (front := pruned_front(results)) is not None:
        seeds = max(len(m.results) for of in by_model(results).values() for m in budget_means(of))
        bars = f" Upright lines are ± one standard deviation over {seeds} seeds." * (seeds > 1)
        remark = (
            "A line joins the networks that no other one of the same model beats in both accuracy "
            f"and measured latency, whatever their noise.{bars}"
        )
        parts.append(Part("Accuracy and measured latency", (remark,), (Figure(front),)))
    kept = (
        f"A budget is kept up to {short_percent(ABOVE_BUDGET)} above it, as measured. Latencies "
        "before and after are of one campaign; what was predicted is for that campaign, too."
    )
    parts.append(Part("Predicted and measured", (kept,), table=pruned_table(results)))
    parts.append(_layers(results))
    intro = f"{plural(len(by_model(results)), 'model')} pruned on {results[0].backend}."
    return Section("pruning", "Pruning", tuple(parts), intro)


def pruned_table(results: Sequence[PrunedResult]) -> Table:
    """Makes the table of every pruned model: predicted beside measured latency, and the rest."""
    rows = [
        row
        for of in by_model(results).values()
        for row in (_before(of[0]), *map(_after, of))
    ]  # fmt: skip
    return Table(
        "Pruned models: predicted beside measured latency",
        ("Model", "Budget", f"Predicted ({UNIT})", f"Measured ({UNIT})", "Prediction's error",
         "Of the budget", "Times as fast", "Accuracy", "Parameters"),
        tuple(rows), text_columns=2,
    )  # fmt: skip


def _before(one: PrunedResult) -> tuple[Entry, ...]:
    nothing = Entry("")
    return (
        Entry(_name(one)), Entry("before pruning"), nothing,
        Entry(LATENCY.figure(one.latency_before_s), value=one.latency_before_s), nothing, nothing,
        Entry("1", value=1.0), Entry(short_percent(one.accuracy_before), value=one.accuracy_before),
        Entry(magnitude(one.parameters_before), value=one.parameters_before),
    )  # fmt: skip


def _after(one: PrunedResult) -> tuple[Entry, ...]:
    error, share = one.predicted_s / one.latency_s - 1, one.latency_s / one.budget_s
    faster = one.latency_before_s / one.latency_s
    noise = f"±{NBSP}{short_percent(one.noise)}" if one.noise else ""
    return (
        Entry(_name(one), one.method),
        Entry(one.budget, f"seed {one.seed}" if one.seed else ""),
        Entry(LATENCY.figure(one.predicted_s), value=one.predicted_s),
        Entry(LATENCY.figure(one.latency_s), noise, one.latency_s),
        Entry(signed(error), value=abs(error)),
        Entry(short_percent(share), "kept" if one.kept else "missed", share),
        Entry(number(faster, 3), value=faster),
        Entry(short_percent(one.accuracy), value=one.accuracy),
        Entry(magnitude(one.parameters), value=one.parameters),
    )


def _layers(results: Sequence[PrunedResult]) -> Part:
    """A picture of each pruned model's layers, of the first seed of each budget."""
    first = {(one.model, one.budget): one for one in reversed(results)}
    shown_ones = [one for one in results if first[one.model, one.budget] is one]
    figures = [Figure(left_chart(one), f"{_name(one)}, {one.budget}") for one in shown_ones[:DRAWN]]
    kinds = dict.fromkeys(one.units for one in results)
    remarks = [f"What is left of each layer ({', '.join(kinds)}), from the first to the last."]
    if len(results) > len(shown_ones):
        remarks.append("Of several seeds the first is drawn.")
    if len(shown_ones) > DRAWN:
        remarks.append(f"The first {DRAWN} of {len(shown_ones)} are drawn.")
    return Part("Layers", tuple(remarks), tuple(figures), layout="pairs")


def _name(one: PrunedResult) -> str:
    return shorten(one.name, 60)
