"""Genotypes as people have them: canonical text, a name, a log, a tuple or a dictionary.

- ``Genotype(normal=[('sep_conv_3x3', 0), ...], ...)``, as the DARTS code base prints it, wherever
  it stands: in a line of a log, behind ``DARTS_V3 =``, over several lines, in a whole log file. Of
  several the last one counts, which a warning says.
- Tuples of NAS-Bench-301, ``(((0, 3), (1, 3), ...), (...))``: input and operation of eight edges a
  cell, the operations numbered without ``none``. Older code numbers them with it.
- Dictionaries of NAS-Bench-301's configuration space, with or without their long prefix:
  ``{'edge_normal_0': 'sep_conv_3x3', 'inputs_node_normal_3': '0_1', ...}``; and a genotype's own
  fields as a dictionary.

Nothing of a text is run.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from latbench.errors import ParseError, quoted
from latbench.spaces.cells.genotypes import (
    CELLS,
    NODES,
    OPERATIONS,
    PUBLISHED,
    Cell,
    Edge,
    checked_cell,
    parse_cell,
)
from latbench.spaces.notation import read_literal, read_values, tight
from latbench.text import listing

_MOST = 10_000  # characters of one genotype
_EDGES = 2 * NODES
_PAIR = r"\('([a-z0-9_]{1,40})',([0-9]{1,3})\)"
_LIST = re.compile(rf"\[(?:[(\[]?{_PAIR}[)\]]?,?)*\]")
_FIELD = re.compile(r"(?:^|,)(normal_concat|normal|reduce_concat|reduce|connectN|connects)=")
_FIELDS = ["normal", "normal_concat", "reduce", "reduce_concat"]
_CONCATS = ("range(2,6)", "[2,3,4,5]", "(2,3,4,5)")
_WRITTEN = (
    "Genotype(normal=[(operation, input), ... 8 times], normal_concat=range(2, 6), "
    "reduce=[... 8 times], reduce_concat=range(2, 6))"
)


def parse_genotype(text: str) -> tuple[Cell, Cell]:
    """Parses the normal and the reduction cell of a genotype in any of the notations above.

    White space around them, and around the signs between their parts, is ignored.
    Raises ParseError saying what is wrong.
    """
    text = text.strip()
    text = PUBLISHED.get(text, text)
    if "Genotype(" in text:
        return _of_call(_last_call(text))
    if len(text) > _MOST:
        raise ParseError(
            f"a genotype has at most {_MOST:,} characters, this text has {len(text):,}"
        )
    if text.startswith("{"):
        return _of_values(read_values(text))
    if re.match(r"[(\[]\s*[(\[]", text):
        return _of_tuples(read_literal(text))
    match = re.fullmatch(r"normal:([^;]+);reduce:([^;]+)", tight(text))
    if match is None:
        raise ParseError(
            f"{quoted(text)} is not a DARTS genotype; expected "
            "'normal:|op~i|op~j|+...;reduce:...', "
            f"Genotype(...), or one of {', '.join(PUBLISHED)}"
        )
    return (
        checked_cell(parse_cell(match[1]), "normal"),
        checked_cell(parse_cell(match[2]), "reduction"),
    )


def _last_call(text: str) -> str:
    """The last ``Genotype(...)`` of a text, up to its closing bracket."""
    starts = [match.start() for match in re.finditer(r"(?<!\w)Genotype\(", text)]
    if not starts:
        raise ParseError(f"{quoted(text)} has no Genotype(...); expected {_WRITTEN}")
    call, depth = text[starts[-1] : starts[-1] + _MOST], 0
    for match in re.finditer(r"[()]", call):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            if len(starts) > 1:
                warnings.warn(
                    f"the text has {len(starts):,} genotypes; the last one is taken", UserWarning,
                    stacklevel=2,
                )  # fmt: skip
            return call[: match.end()]
    raise ParseError(
        f"the {'last ' if len(starts) > 1 else ''}Genotype(...) of the text does not end: "
        f"{quoted(call)}; give it whole"
    )


def _of_call(call: str) -> tuple[Cell, Cell]:
    """Reads ``Genotype(normal=[...], normal_concat=..., reduce=[...], ...)``."""
    text = re.sub(r"\s+", " ", call).replace('"', "'")
    text = re.sub(r" ?([()\[\],=]) ?", r"\1", text)[len("Genotype(") : -1]
    before, *parts = _FIELD.split(text)
    names, values = parts[::2], [value.rstrip(",") for value in parts[1::2]]
    fields = dict(zip(names, values, strict=True))
    sound = all(_LIST.fullmatch(fields.get(cell, "")) for cell in CELLS)
    if before or names[:4] != _FIELDS or not sound or {*values[4:]} - {"None"}:
        raise ParseError(
            "the text starts like a DARTS Genotype(...) but is not one; expected " + _WRITTEN
        )
    return _of_edges(
        {c: [(op, int(i)) for op, i in re.findall(_PAIR, fields[c])] for c in CELLS},
        {f"{c}_concat": fields[f"{c}_concat"] for c in CELLS},
    )


def _of_edges(cells: Mapping[str, Sequence[Edge]], concats: Mapping[str, str]) -> tuple[Cell, Cell]:
    """The cells of eight edges each, two a node. Raises ParseError with all that is not so."""
    wrong = [
        f"its {name} cell has {len(edges)} edges and not {_EDGES}"
        for name, edges in cells.items()
        if len(edges) != _EDGES
    ]
    named = dict.fromkeys(op for edges in cells.values() for op, _ in edges)
    if strange := [repr(op) for op in named if op not in OPERATIONS]:
        kept, more = strange[:4], len(strange) - 4
        told = listing([*kept, f"{more} more"] if more > 0 else kept)
        wrong.append(
            f"{told} {'is no operation' if len(strange) == 1 else 'are no operations'} of DARTS "
            f"({', '.join(OPERATIONS)})"
        )
    wrong += [
        f"{name} is {value[:40].replace(',', ', ')} and not 2 to 5"
        for name, value in concats.items()
        if value not in _CONCATS
    ]
    if wrong:
        raise ParseError(
            f"this genotype is none of DARTS' space: {'; '.join(wrong)}. Its cells have four nodes "
            "of two edges each; those of NASNet and AmoebaNet have five nodes and other operations"
        )
    normal, reduce = (
        tuple((edges[i], edges[i + 1]) for i in range(0, _EDGES, 2)) for edges in cells.values()
    )
    return checked_cell(normal, "normal"), checked_cell(reduce, "reduction")


def _of_tuples(value: Any) -> tuple[Cell, Cell]:
    """Reads NAS-Bench-301's pairs of input and number of the operation."""
    whole = isinstance(value, list) and len(value) == 2 and all(
        isinstance(cell, list) and all(
            isinstance(e, list) and len(e) == 2 and all(type(v) is int for v in e) for e in cell
        ) for cell in value
    )  # fmt: skip
    if not whole:
        raise ParseError(
            "a tuple of NAS-Bench-301 has two cells of eight pairs (input, operation) each, as in "
            "(((0, 3), (1, 3), ...), (...)); this text has not"
        )
    last = len(OPERATIONS) - 1
    for _, number in (edge for cell in value for edge in cell):
        if not 0 <= number <= last:
            raise ParseError(
                f"the tuple has the operation {number}; NAS-Bench-301 numbers them 0 to {last}, "
                f"{OPERATIONS[0]} to {OPERATIONS[last]}. Where 0 is 'none', as in older code, "
                "subtract 1 from every operation"
            )
    return _of_edges(
        {c: [(OPERATIONS[op], i) for i, op in v] for c, v in zip(CELLS, value, strict=True)}, {}
    )


def _of_values(values: Mapping[str, Any]) -> tuple[Cell, Cell]:
    """Reads a genotype's fields, or NAS-Bench-301's configuration."""
    if set(CELLS) <= values.keys():
        found = {c: [(str(op), i) for op, i in _pairs(values[c], c)] for c in CELLS}
        names = [f"{c}_concat" for c in CELLS]
        return _of_edges(
            found, {n: re.sub(r"\s", "", str(values[n])) for n in names if n in values}
        )
    short = {key.rpartition(":")[2]: value for key, value in values.items()}
    return _of_edges({cell: _chosen(cell, short) for cell in CELLS}, {})


def _pairs(value: Any, cell: str) -> list[Any]:
    """Edges as a list of pairs, or of pairs of pairs."""
    flat = [e for part in value for e in (part if isinstance(part[0], list) else [part])] if (
        isinstance(value, list) and all(isinstance(p, list) and p for p in value)
    ) else [None]  # fmt: skip
    if not all(isinstance(e, list) and len(e) == 2 and type(e[1]) is int for e in flat):
        raise ParseError(f"{cell!r} is no list of pairs (operation, input)")
    return flat


def _chosen(cell: str, values: Mapping[str, Any]) -> list[Edge]:
    """The edges of a cell: of each node the inputs that it keeps, and what is on their edges."""
    edges, first = list[Edge](), 0
    for node in range(2, 2 + NODES):
        # The first node has two inputs only.
        kept = "0_1" if node == 2 else str(values.get(f"inputs_node_{cell}_{node}"))
        if not re.fullmatch(r"[0-9]_[0-9]", kept):
            raise ParseError(
                f"the dictionary has {quoted(kept)} as 'inputs_node_{cell}_{node}'; expected the "
                "two inputs of that node, such as '0_1', as NAS-Bench-301 writes them"
            )
        for source in map(int, kept.split("_")):
            operation = values.get(f"edge_{cell}_{first + source}")
            if not isinstance(operation, str):
                raise ParseError(
                    f"the dictionary has no 'edge_{cell}_{first + source}', which node {node} of "
                    f"the cell {cell} keeps"
                )
            edges.append((operation, source))
        first += node
    return edges
