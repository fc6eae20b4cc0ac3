"""The modules of a part: single ones by their names, rows of them in an ``nn.Sequential``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from latbench.export.code.layer_text import LayerCode
from latbench.export.code.part_names import PartName, attribute_names, word_of
from latbench.export.code.repeated_parts import CodePart, PartStep, is_call, readers_of


@dataclass(frozen=True)
class Row:
    """A row of steps of a body that is one attribute: a module, or several one after another."""

    name: str
    first: int
    last: int

    @property
    def several(self) -> bool:
        """Returns whether it is an ``nn.Sequential``."""
        return self.last > self.first


def rows_of(part: CodePart, named: Mapping[int, PartName]) -> list[Row]:
    """Returns the attributes of a class, in order; of a function's ``nn.Sequential`` there is one
    without a name."""
    body = part.body
    if part.chain and named[id(part)].base != "Net":
        return [Row("", 0, len(body) - 1)]
    spans: list[tuple[int, int]] = []
    readers = readers_of(body)
    for i, step in enumerate(body):
        if not _made(step):
            continue
        joins = is_call(step) and step.inputs == (i - 1,) and readers[i - 1 : i] == [[i]]
        if spans and joins and spans[-1][1] == i - 1 and is_call(body[i - 1]):
            spans[-1] = (spans[-1][0], i)
        else:
            spans.append((i, i))
    if named[id(part)].base == "Net":
        spans = [piece for span in spans for piece in _pieces(body, span, named)]
    words = [_row_word(part, span, named) for span in spans]
    return [
        Row(name, *span) for name, span in zip(attribute_names(words), spans, strict=True)
    ]  # fmt: skip


def _made(step: PartStep) -> bool:
    return not isinstance(step.does, LayerCode) or bool(step.does.module)


def _pieces(
    body: Sequence[PartStep], span: tuple[int, int], named: Mapping[int, PartName]
) -> list[tuple[int, int]]:
    """A row of the network as its stem, its blocks and its head."""
    first, last = span
    blocks = [i for i in range(first, last + 1) if _block(body[i], named)]
    if not blocks:
        return [span]
    cuts = [first, blocks[0], blocks[-1] + 1, last + 1]
    return [(a, b - 1) for a, b in pairwise(cuts) if a < b]


def _block(step: PartStep, named: Mapping[int, PartName]) -> bool:
    return isinstance(step.does, CodePart) and not named[id(step.does)].unit


def _row_word(part: CodePart, span: tuple[int, int], named: Mapping[int, PartName]) -> str:
    body, (first, last) = part.body, span
    if first == last:
        return word_of(body[first], named)
    if named[id(part)].base != "Net":
        return "layers"
    if any(_block(step, named) for step in body[first : last + 1]):
        return "blocks"
    if -1 in body[first].inputs and last < len(body) - 1:
        return "stem"
    return "head" if last == len(body) - 1 else "layers"


def module_paths(
    parts: Sequence[CodePart], named: Mapping[int, PartName]
) -> dict[int, str]:  # fmt: skip
    """Returns the path of each layer's module, as ``"blocks.3.conv"``, by its index in the network
    that is the last of ``parts``; layers without a module have none."""
    found: dict[int, str] = {}

    def walk(part: CodePart, use: int, path: tuple[str, ...]) -> None:
        for row in rows_of(part, named):
            for i in range(row.first, row.last + 1):
                step = part.body[i]
                index = (str(i - row.first),) if row.several or not row.name else ()
                here = (*path, *filter(None, [row.name]), *index)
                if isinstance(step.does, CodePart):
                    walk(step.does, step.rows[use], here)
                else:
                    found[step.rows[use]] = ".".join(here)

    walk(parts[-1], 0, ())
    return found
