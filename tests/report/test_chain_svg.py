"""Drawings of chains: everything has its place, and is said."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench import notebook
from latbench.networks.blocks import classifier
from latbench.networks.mobile_blocks import (
    RELU6,
    SqueezeExcite,
    conv_bn_act,
    inverted_residual,
    squeeze_excite,
)
from latbench.networks.ops import Shape
from latbench.report import ReportData
from latbench.report.cells.architecture_svg import architecture_svg
from latbench.report.cells.chain_svg import block_look, draw_chain, stages
from latbench.report.cells.draw import draw
from latbench.report.sections.search_sections import search_parts
from latbench.report.theme import LIGHT
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.chains.chain import ChainConfig, ChainSpace
from latbench.spaces.drawing import ChainGraph, ChainStep
from latbench.spaces.variables import One, Variable

SVG = "{http://www.w3.org/2000/svg}"
LETTER = 6.2  # a character of 11 pixels, on average
WIDTHS = (16, 24, 40, 80, 96, 192)  # of the stages, the first of one block
STRIDES = (1, 2, 2, 2, 1, 2)


@dataclass(frozen=True)
class LongConfig(ChainConfig):
    """Twenty-two blocks at most."""

    depth: int = 4


class LongChain(ChainSpace[LongConfig]):
    """Stages, each with a width and a depth, of mobile blocks, each with a kernel, an expansion and
    a squeeze-and-excite; the first stage has no choice."""

    name = "long_chain"

    def __init__(self, config: LongConfig | None = None) -> None:
        self.config = config or LongConfig()

    def variables(self) -> Iterator[Variable]:
        yield One("resolution", ("192", "224"), kind="resolution")
        for i, width in enumerate(WIDTHS[1:], 2):
            yield One(f"{i}.width", (str(width), str(width * 2)), kind="width")
            yield One(f"{i}.depth", ("1", "2", str(self.config.depth)), kind="depth")
            for j in range(1, self.config.depth + 1):
                deep = tuple(d for d in ("1", "2", str(self.config.depth)) if int(d) >= j)
                yield One(f"{i}.{j}.kernel", ("3", "5", "7"), "kernel", (f"{i}.depth", deep))
                yield One(f"{i}.{j}.expansion", ("3", "6"), "expansion", (f"{i}.depth", deep))
                yield One(f"{i}.{j}.se", ("off", "on"), "se", (f"{i}.depth", deep))

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        size = number("resolution")
        return (self.config.batch, self.config.in_channels, size, size)

    def assemble(self, b: Assembler) -> int:
        x = conv_bn_act(b, b.input, 16, 3, 2)
        b.mark("stem", x)
        x = inverted_residual(b, x, WIDTHS[0], 3, 1, None, RELU6)
        b.mark("1.1", x)
        for i, stride in enumerate(STRIDES[1:], 2):
            steps = [
                partial(self._block, f"{i}.{j}", b.number(f"{i}.width"), stride if j == 1 else 1)
                for j in range(1, self.config.depth + 1)
            ]
            x = b.first(f"{i}.depth", steps, x)
        return classifier(b, x, self.config.classes)

    def _block(self, name: str, width: int, stride: int, b: Assembler, x: int) -> int:
        expanded = b.shape(x)[1] * b.number(f"{name}.expansion")
        kernels: dict[str, Step] = {
            k: partial(
                inverted_residual, channels=width, kernel=int(k), stride=stride, expanded=expanded,
                activation=RELU6,
            )
            for k in ("3", "5", "7")
        }  # fmt: skip
        y = b.one(f"{name}.kernel", kernels, x)
        excite = partial(squeeze_excite, se=SqueezeExcite(width // 4))
        y = b.one(f"{name}.se", {"off": lambda _, y: y, "on": excite}, y)
        b.mark(name, y)
        return y


def chain(index: int = 0) -> ChainGraph:
    space = LongChain()
    (graph,) = space.drawing(space.sample(0, index))
    return graph


def deep() -> ChainGraph:
    """The one of 22 blocks (and the stem)."""
    space = LongChain()
    longest = space.of(space.forest.grow(lambda i: len(space.forest.variables[i].options) - 1))
    (graph,) = space.drawing(longest)
    assert len(graph.steps) == 2 + 22
    return graph


def tree(graph: ChainGraph) -> ET.Element:
    return ET.fromstring(draw_chain(graph).svg(xmlns=SVG.strip("{}")))


def rects(root: ET.Element) -> list[tuple[float, float, float, float]]:
    found = [{k: float(e.attrib[k]) for k in ("x", "y", "width", "height")}
             for e in root.iter(f"{SVG}rect")]  # fmt: skip
    return [(r["x"], r["y"], r["x"] + r["width"], r["y"] + r["height"]) for r in found]


def texts(root: ET.Element) -> dict[tuple[float, float, float, float], str]:
    """Every text by the room that it takes."""
    found = {}
    for part in root.iter(f"{SVG}g"):
        for e in part.findall(f"{SVG}text"):
            x, y, said = float(e.attrib["x"]), float(e.attrib["y"]), e.text or ""
            wide = LETTER * len(said)
            anchor = e.get("text-anchor", part.get("text-anchor", "start"))
            left = x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
            found[left, y - 9, left + wide, y + 2] = said
    return found


def check_places(graph: ChainGraph) -> None:
    """Nothing lies on anything else but an operation in its box, and nothing beyond the edges."""
    root = tree(graph)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    solid, written = rects(root), texts(root)
    boxes = [r for r in solid if r[3] - r[1] > 10]
    assert len(boxes) == len(graph.steps)
    assert len({(r[0], r[2]) for r in boxes}) == 1  # one column
    for a, b in combinations(solid, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for t, said in written.items():
        holding = [r for r in boxes if r[0] <= t[0] and t[2] <= r[2] and r[1] <= t[1] <= r[3]]
        crossed = [r for r in solid if t[0] < r[2] and r[0] < t[2] and t[1] < r[3] and r[1] < t[3]]
        assert crossed == holding, said
        assert len(holding) <= 1, said
    for a, b in combinations(written, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (
            written[a], written[b]
        )  # fmt: skip
    for x, y, right, bottom in (*solid, *written):
        assert x >= 0
        assert y >= 0
        assert right <= width
        assert bottom <= height


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_nothing_overlaps_and_all_is_inside(index: int) -> None:
    check_places(chain(index))


STEPS = st.builds(
    ChainStep,
    st.text("ab.1_", max_size=40),
    st.sampled_from(["", "skip", "k3_e1_g2", "k5 e6 se hswish", "x" * 60, "none"]),
    st.integers(1, 100_000),
    st.sampled_from([1, 7, 14, 4096]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=30))
def test_other_chains_have_their_places_too(steps: list[ChainStep]) -> None:
    check_places(ChainGraph("Chain", tuple(steps)))


def test_twenty_two_blocks_fit_a_narrow_page() -> None:
    graph = deep()
    check_places(graph)
    drawn = draw(graph)
    assert drawn.width <= 330
    assert drawn.height <= 700
    said = list(texts(tree(graph)).values())
    assert [t for t in said if t.endswith("px")] == [
        "224 px", "112 px", "56 px", "28 px", "14 px", "7 px",
    ]  # fmt: skip
    assert said.count("k7 e6 se") == 20  # not 7 and 6: a letter says what a number counts
    assert {"input", "3 channels", "stem", "2.1", "6.4", "output", "1,000 channels"} <= set(said)
    assert "1.1" in said  # in its box, since nothing was chosen for it


def test_more_channels_are_longer_bars() -> None:
    graph = deep()
    bars = [r for r in rects(tree(graph)) if r[3] - r[1] < 10]
    channels = [step.channels for step in graph.steps[1:-1]]
    assert len(bars) == len(channels)
    lengths = [right - left for left, _, right, _ in bars]
    for (a, long), (b, longer) in pairwise(sorted(zip(channels, lengths, strict=True))):
        assert (a < b) == (long < longer)
    assert max(lengths) / min(lengths) == pytest.approx(
        (max(channels) / min(channels)) ** 0.5, rel=0.01
    )


def test_stages_are_apart() -> None:
    graph = deep()
    boxes = sorted(r for r in rects(tree(graph)) if r[3] - r[1] > 10)
    gaps = [below[1] - above[3] for above, below in pairwise(boxes)]
    firsts = {run[0].name for run in stages(graph)[1:]}
    broken = {step.name for step, gap in zip(graph.steps[1:], gaps, strict=True) if gap > 10}
    assert broken == firsts == {"stem", "2.1", "3.1", "4.1", "6.1", "output"}
    lines = [e for e in tree(graph).iter(f"{SVG}path") if "H" in e.attrib["d"]]
    assert len(lines) == len(firsts)


def test_everything_is_told() -> None:
    steps = (
        ChainStep("input", "", 3, 32), ChainStep("1.1", "k3 e6", 16, 16),
        ChainStep("1.2", "skip", 16, 16), ChainStep("output", "", 10, 1),
    )  # fmt: skip
    graph = ChainGraph("Chain", steps)
    desc = tree(graph).find(f"{SVG}desc")
    assert desc is not None
    assert str(desc.text).replace("\u00a0", " ") == (
        "At 32 pixels: input, 3 channels. At 16 pixels: 1.1 k3 e6, 16 channels; 1.2 skip, 16 "
        "channels. At 1 pixel: output, 10 channels."
    )
    assert tree(graph).get("aria-label") == "Chain"


@pytest.mark.parametrize(
    ("operation", "colour"),
    [
        ("k3 e6", "c0"), ("k3e6", "c0"), ("mb_k3_e1", "c0"), ("sep_3x3", "c0"), ("3x3", "c0"),
        ("k5 e6", "c1"), ("kernel=5", "c1"), ("e6 k7", "c3"), ("k9 e3", "c4"), ("k1", "c6"),
        ("xception", "c2"), ("stack3", "c2"), ("skip", "soft"), ("none", "soft"), ("", "soft"),
    ],
)  # fmt: skip
def test_the_kernel_is_the_colour(operation: str, colour: str) -> None:
    assert block_look(operation)[0] == colour


def test_what_expands_more_is_fuller() -> None:
    fills = [block_look(f"k3 e{n}")[1] for n in (1, 3, 6, 8, 20)]
    assert fills == sorted(fills)
    assert block_look("k3 e450")[1] == pytest.approx(
        sum(block_look(f"k3 e{n}")[1] for n in (4, 5)) / 2
    )
    assert fills[0] < fills[1] < fills[2] < fills[-1] <= 0.4


def test_a_long_choice_is_cut_and_kept_whole_beside() -> None:
    steps = [("input", ""), ("1.1", "x" * 60), ("1.2", "a<b"), ("output", "")]
    graph = ChainGraph("Chain", tuple(ChainStep(*step, 3, 8) for step in steps))
    titles = [t.text for t in tree(graph).iter(f"{SVG}title")]
    assert titles == ["x" * 60]
    said = texts(tree(graph)).values()
    assert "x" * 29 + "…" in said
    assert "a<b" in said


def test_a_notebook_shows_a_chain_in_the_light_colours() -> None:
    notebook.show_drawings()
    architecture = LongChain().sample(0, 1)
    drawn = architecture._repr_svg_()  # type: ignore[attr-defined]
    assert drawn == str(architecture_svg(architecture))
    assert set(re.findall(r"#[0-9a-f]{6}", drawn)) <= set(LIGHT.values())
    assert LIGHT["c1"] in drawn
    assert "var(" not in drawn
    root = ET.fromstring(drawn)
    inner = root.find(f"{SVG}svg")
    assert inner is not None
    assert float(inner.attrib["x"]) + float(inner.attrib["width"]) <= float(root.attrib["width"])


def test_a_page_has_chains_beside_each_other(
    report: ReportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "latbench.report.sections.search_sections.graphs_of"
    cells = next(p for p in search_parts(report) if p.layout.startswith("cells"))
    assert (cells.heading, cells.layout) == ("Derived cells", "cells")
    graph = replace(deep(), note="A note.")
    monkeypatch.setattr(path, lambda *_: [graph])
    chains = next(p for p in search_parts(report) if p.layout.startswith("cells"))
    assert (chains.heading, chains.layout) == ("Derived chains", "cells chains")
    assert chains.remarks[0] == "A note."
    assert "bar" in chains.remarks[-1]
    assert "k7 e6" in str(chains.figures[0].drawing)
