"""Films of searches: each frame shows the cells of its epoch, and pages stay small."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest

from latbench.report import ReportData, SearchEpoch, SearchResult
from latbench.report.cells import cell_graphs, draw_graph
from latbench.report.films import DRAWINGS, FRAMES, film_part
from latbench.spaces import darts, nasbench201

DARTS = tuple(str(a) for _, a in darts().unique_samples(0, 260))
STACK = re.compile(r'<div class="stack(?: told)?" data-frames="([\d ]+)">(.*?)</div>', re.S)


def search_over(architectures: Sequence[str], label: str = "run") -> SearchResult:
    history = tuple(
        SearchEpoch(i, 0.5, 0.6, 0.002, 1.5, architecture=a) for i, a in enumerate(architectures)
    )
    return SearchResult(label, "b", 0.0, architectures[-1] or "x", history, 0.002)


def data_of(*searches: SearchResult, space: str = "darts(cells=8)") -> ReportData:
    return ReportData("t", "", space, {}, (), searches)


def films(data: ReportData) -> list[str]:
    part = film_part(data)
    return [] if part is None else [str(f.drawing) for f in part.figures]


def shown(items: str) -> list[bool]:
    """Whether each drawing or text of a stack is to be seen at first."""
    return ["hidden" not in tag for tag in re.findall(r"<(?:p|svg)\b[^>]*>", items)]


def test_every_frame_shows_the_cell_of_its_epoch_and_each_cell_is_drawn_once() -> None:
    a, b, c = DARTS[:3]
    (film,) = films(data_of(search_over([a, b, b, a, c, b])))
    told, *cells = STACK.findall(film)
    assert told[0] == "0 1 2 3 4 5"
    assert [frames for frames, _ in cells] == ["0 1 1 0 2 1"] * 2
    for i, (_, items) in enumerate(cells):
        drawn = [str(draw_graph(cell_graphs(text, "darts")[i])) for text in (a, b, c)]
        assert [items.replace(' hidden=""', "")] == ["".join(drawn)]
        assert shown(items) == [False, True, False]  # the last epoch, without the script
    assert shown(told[1]) == [False] * 5 + [True]
    assert 'type="range" min="0" max="5" value="5"' in film
    assert '<div class="film-controls" hidden>' in film  # of no use without the script
    assert "Epoch 5: validation accuracy 60.0" in film


def test_cells_that_are_alike_share_a_drawing_though_the_architectures_differ() -> None:
    first, second = (text.split(";reduce") for text in DARTS[:2])
    other = f"{first[0]};reduce{second[1]}"
    (film,) = films(data_of(search_over([DARTS[0], other])))
    assert [frames for frames, _ in STACK.findall(film)] == ["0 1", "0 0", "0 1"]


def test_a_cell_of_nasbench201_has_one_stack() -> None:
    texts = [str(a) for _, a in nasbench201().unique_samples(0, 3)]
    (film,) = films(data_of(search_over(texts), space="nasbench201(cells=5)"))
    assert len(STACK.findall(film)) == 2


def test_a_long_search_is_thinned_out_but_keeps_its_ends() -> None:
    (film,) = films(data_of(search_over([DARTS[i % 2] for i in range(1001)])))
    epochs = [int(e) for e in re.findall(r"<p[^>]*>Epoch (\d+):", film)]
    assert len(epochs) == FRAMES
    assert (epochs[0], epochs[-1]) == (0, 1000)
    assert max(b - a for a, b in pairwise(epochs)) == 21


def test_many_searches_stay_small_and_the_page_says_what_is_missing() -> None:
    searches = [search_over(DARTS[50 * i : 50 * i + 50], f"run {i}") for i in range(5)]
    data = data_of(*searches)
    drawn = films(data)
    assert len(drawn) == DRAWINGS // 100
    assert sum(film.count("<svg") for film in drawn) <= DRAWINGS
    assert sum(map(len, drawn)) < 2_000_000
    part = film_part(data)
    assert part is not None
    assert "2 further searches are not drawn here." in part.remarks


def test_without_architectures_or_with_a_single_epoch_there_is_no_film() -> None:
    assert film_part(data_of(search_over(["", ""]), search_over([DARTS[0]]))) is None
    assert film_part(data_of(search_over(["?", "?"]))) is None


@pytest.mark.parametrize("target", [None, 0.002])
def test_costs_and_the_target_are_told(target: float | None) -> None:
    search = search_over(DARTS[:2])
    if target:
        history = [dataclasses.replace(e, derived=0.0018, multiplier=0.25) for e in search.history]
        search = dataclasses.replace(search, target=target, history=tuple(history))
    (film,) = films(data_of(search))
    assert "expected latency 2.00\u00a0ms, " in film
    assert ("derived 1.80\u00a0ms" in film) == bool(target)
    part = film_part(data_of(search))
    assert part is not None
    assert any(remark.startswith("With a target") for remark in part.remarks) == bool(target)
