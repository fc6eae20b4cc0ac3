"""Films of searches: the cells that would be derived after each epoch, behind a slider.

Each distinct cell is drawn once, and a frame names the drawing that it shows. Without the page's
script the last frame stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup

from latbench.errors import UsageError
from latbench.report.cells import Graph, cell_graphs, draw_graph
from latbench.report.data import ReportData, SearchEpoch, SearchResult
from latbench.report.parts import Figure, Part
from latbench.report.svg import element
from latbench.report.text import known, percent, shorten, shown

FRAMES = 50  # a film
DRAWINGS = 300  # all films; a drawing has about 4 kB


def film_part(data: ReportData) -> Part | None:
    """A film of each search that took down what it would derive, as far as the page has room; None
    without any."""
    figures: list[Figure] = []
    room, left_out = DRAWINGS, 0
    for search in data.searches:
        frames = _frames(search.history)
        if len(frames) < 2:
            continue
        try:
            graphs = [cell_graphs(e.architecture, data.space.split("(")[0]) for e in frames]
        except UsageError:
            continue  # the part about derived cells says why
        cells = list(zip(*graphs, strict=True))
        room -= sum(len(set(cell)) for cell in cells)
        if figures and room < 0:
            left_out += 1
            continue
        figures.append(Figure(_film(search, frames, cells), shorten(search.label, 60)))
    if not figures:
        return None
    remarks = ["What would be derived after each epoch."]
    if any(s.target is not None for s in data.searches):
        remarks.append(
            "With a target, what was found is of the last epoch with a network that kept it."
        )
    if left_out:
        missing = "1 further search is" if left_out == 1 else f"{left_out:,} further searches are"
        remarks.append(f"{missing} not drawn here.")
    return Part("The cell over the epochs", tuple(remarks), tuple(figures), layout="cells")


def _frames(history: Sequence[SearchEpoch]) -> list[SearchEpoch]:
    """Epochs with an architecture: all, or evenly spaced ones with the first and the last."""
    epochs = [e for e in history if e.architecture]
    n = min(len(epochs), FRAMES)
    return [epochs[round(i * (len(epochs) - 1) / max(1, n - 1))] for i in range(n)]


def _film(
    search: SearchResult, frames: Sequence[SearchEpoch], cells: Iterable[Sequence[Graph]]
) -> Markup:
    last = len(frames) - 1
    controls = Markup(
        '<div class="film-controls" hidden><button type="button">Play</button>'
        '<label>Epoch <input type="range" min="0" max="{0}" value="{0}" autocomplete="off"></label>'
        "</div>"
    ).format(last)
    told = [element("p", note, hidden=_unless(i == last))
            for i, note in enumerate(_told(search, e) for e in frames)]  # fmt: skip
    boxes = [
        Markup(
            '<div class="cell-box" role="group" tabindex="0" aria-label="{0}"><p>{0}</p>{1}</div>'
        ).format(cell[0].title, _stack(*_drawn(cell)))
        for cell in cells
    ]
    return Markup('<div class="film">{}{}<div class="cells-row">{}</div></div>').format(
        controls, _stack(told, range(len(frames)), "told"), Markup("").join(boxes)
    )


def _drawn(cell: Sequence[Graph]) -> tuple[list[Markup], list[int]]:
    """The distinct drawings of a cell over the frames, and each frame's."""
    distinct = list(dict.fromkeys(cell))
    frames = [distinct.index(graph) for graph in cell]
    return [draw_graph(g, hidden=_unless(i == frames[-1])) for i, g in enumerate(distinct)], frames


def _unless(is_shown: bool) -> str | None:
    """The value of the attribute ``hidden``."""
    return None if is_shown else ""


def _stack(items: Iterable[Markup], frames: Iterable[int], also: str = "") -> Markup:
    """Items in one place, of which a frame shows the one that it names."""
    return Markup('<div class="{}" data-frames="{}">{}</div>').format(
        f"stack {also}".strip(), " ".join(map(str, frames)), Markup("").join(items)
    )


def _told(search: SearchResult, epoch: SearchEpoch) -> str:
    """An epoch in words."""
    return f"Epoch {epoch.epoch}: {', '.join(_readings(search, epoch))}."


def _by(predictor: str) -> str:
    return f" ({predictor})" if predictor else ""


def _readings(search: SearchResult, epoch: SearchEpoch) -> Iterator[str]:
    metric = search.metric
    yield f"validation accuracy {percent(epoch.validation_accuracy)}"
    if known(epoch.expected):
        yield f"expected {metric.label} {shown(metric, epoch.expected)}{_by(search.guide)}"
    if known(epoch.derived):
        yield f"derived {shown(metric, epoch.derived)}{_by(search.keeper)}"
    yield f"entropy {epoch.entropy:.2f}"
    if known(epoch.multiplier):
        yield f"multiplier {epoch.multiplier:.2g}"
