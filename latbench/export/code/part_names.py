"""Names for parts and for the modules of a body, by what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from latbench.export.code.layer_text import LayerCode
from latbench.export.code.repeated_parts import CodePart, PartStep

_MOST_WORDS = 4
_MEANINGS = {
    "Residual": "A block whose layers' result is added to its input, or to a projection of it.",
    "Gated": "A block that multiplies each channel by a gate, which is made of all of them.",
    "Attention": "A block in which each place takes from all others what is like it.",
    "Cell": "A cell of operations, whose results are added and joined.",
    "Branches": "Paths side by side, whose results are joined.",
    "Block": "A block of layers.",
    "Net": "The network.",
}


@dataclass(frozen=True)
class PartName:
    """A name in the file, and its ``base``, which several parts may have."""

    name: str
    base: str

    @property
    def word(self) -> str:
        """Returns what a module that is such a part is called."""
        return self.base.lower()

    @property
    def meaning(self) -> str:
        """Returns the docstring of such a class."""
        return _MEANINGS[self.base]

    @property
    def unit(self) -> bool:
        """Returns whether it is but a layer with its norm and activation."""
        return self.base != "block" and self.base not in _MEANINGS


def name_parts(parts: Sequence[CodePart]) -> dict[int, PartName]:
    """Names the parts of a network by ``id(part)``: functions as ``conv_norm_relu``, classes as
    ``Residual``; the last is the network."""
    named: dict[int, PartName] = {}
    for part in parts:
        words = [word_of(step, named) for step in part.body]
        base = "_".join(words).replace("-", "_")
        if part is parts[-1]:
            base = "Net"
        elif not part.chain:
            base = _class_name(part)
        elif base.count("_") >= _MOST_WORDS or "block" in words or len(set(words)) < len(words):
            base = "block"
        named[id(part)] = PartName(base, base)
    names = attribute_names(one.base for one in named.values())
    return {
        key: PartName(name, one.base)
        for (key, one), name in zip(named.items(), names, strict=True)
    }  # fmt: skip


def _class_name(part: CodePart) -> str:
    done = {step.does.name for step in part.body if isinstance(step.does, LayerCode)}
    if {"matmul", "softmax"} <= done:
        return "Attention"
    if part.arguments > 1:
        return "Cell"
    if "concat" in done:
        return "Cell" if "add" in done else "Branches"
    if "add" in done:
        return "Residual"
    return "Gated" if "mul" in done else "Block"


def word_of(step: PartStep, named: Mapping[int, PartName]) -> str:
    """Returns what a step of a body is called, without a number."""
    return step.does.name if isinstance(step.does, LayerCode) else named[id(step.does)].word


def attribute_names(words: Iterable[str]) -> list[str]:
    """Returns the words with numbers where one occurs more than once."""
    listed = list(words)
    counts, seen, found = Counter(listed), Counter[str](), []
    for word in listed:
        seen[word] += 1
        joint = "_" if word[-1].isdigit() else ""
        found.append(word if counts[word] == 1 else f"{word}{joint}{seen[word]}")
    return found
