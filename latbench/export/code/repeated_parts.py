"""The parts of a network: runs of layers that occur again, but for their numbers.

A body is a list of steps, each of which reads arguments and earlier steps. The most worthwhile run
that occurs again, in whatever body, is taken out of all of them, until none is worth it. A run is
closed: nothing outside reads any of it but its last result.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from latbench.export.code.layer_text import LayerCode
from latbench.export.code.literal_numbers import with_numbers
from latbench.export.torch_code import layer_code
from latbench.networks.general.arrays import Join
from latbench.networks.network import Layer, Network

MOST_ARGUMENTS = 3
# What a definition costs of lines, besides its layers.
_OVERHEAD = 1
_MOST_BARE = 3


@dataclass
class PartStep:
    """A layer, or a use of a part, in a body.

    ``inputs`` are earlier steps of the body, or arguments, which are ``~0``, ``~1`` and so on. A
    body stands for as many runs as its part is used; ``rows`` has, for each, a layer's index in the
    network or the number of the inner part's use.
    """

    does: LayerCode | CodePart
    inputs: tuple[int, ...]
    rows: list[int]
    # Of a layer, the values of its arguments in each run.
    values: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def token(self) -> Any:
        """Returns what two steps that do the same have in common."""
        return self.does.token if isinstance(self.does, LayerCode) else id(self.does)


@dataclass(eq=False)
class CodePart:
    """A body that is used in several places, or (``uses`` 1) the network itself."""

    body: list[PartStep]
    arguments: int
    uses: int = 0

    @property
    def chain(self) -> bool:
        """Returns whether each step is a module that reads the one before it alone."""
        return self.arguments == 1 and all(
            is_call(step) and step.inputs == (i - 1,) for i, step in enumerate(self.body)
        )  # the first reads argument ~0, which is -1


def is_call(step: PartStep) -> bool:
    """Returns whether a step is the call of a module on one input."""
    plain = isinstance(step.does, CodePart) or (bool(step.does.module) and not step.does.forward)
    return plain and len(step.inputs) == 1


def parts_of(network: Network, numbers: Mapping[int, str]) -> list[CodePart]:
    """Finds the parts of a network, each after those that it uses; the last is the network.

    ``numbers`` are the texts of constants that stand where they are read, by their layers. Raises
    BackendError for a layer kind without a rule.
    """
    place = {i: ~k for k, i in enumerate(network.inputs)}
    codes: dict[int, tuple[LayerCode, tuple[int, ...]]] = {}
    fed = {*network.inputs}  # what hangs on an input
    for i, layer in enumerate(network.layers):
        if i not in place and i not in numbers:
            types = [network.types[j] for j in layer.inputs]
            code = layer_code(layer.op, network.input_shapes(layer), types)
            if isinstance(layer.op, Join):
                code = _of_any_batch(code, layer, fed)
            fed |= {i} if fed.intersection(layer.inputs) else set()
            codes[i] = with_numbers(code, layer.inputs, numbers)
    body: list[PartStep] = []
    first = _first(network, codes)
    for i in sorted(codes, key=lambda i: (i not in first, i)):
        code, read = codes[i]
        place[i] = len(body)
        values = tuple(a.value for a in code.arguments)
        body.append(PartStep(code, tuple(place[j] for j in read), [i], [values]))
    results = tuple(place[j] for j in network.outputs)
    if results != (len(body) - 1,):
        # What is read after the network keeps its own name, and is in no block but as its result.
        listed = ", ".join(f"{{{k}}}" for k in range(len(results)))
        # Between brackets a line of many may be broken.
        text = f"({listed})" if len(results) > _MOST_BARE else listed
        given = LayerCode("outputs", forward=text)
        body.append(PartStep(given, results, [len(network.layers)], [()]))
    parts = [CodePart(body, len(network.inputs), 1)]
    while unit := _unit(parts[0].body):
        _take_out(parts, *unit)
    # Blocks with one input first: what else they have in common is their own affair.
    while found := _best(parts, 1) or _best(parts, MOST_ARGUMENTS):
        _take_out(parts, *found)
    return _inner_first(parts[0])


def _of_any_batch(code: LayerCode, layer: Layer, fed: set[int]) -> LayerCode:
    """A joining with tensors that have the batch of the file, as a token that classifies has."""
    given = [k for k, i in enumerate(layer.inputs) if i in fed]
    if not given or layer.shape[0] != 1 or code.forward.endswith("dim=0)"):
        return code
    forward = code.forward
    for k in range(len(layer.inputs)):
        if k not in given:
            kept = ", ".join(["-1"] * (len(layer.shape) - 1))
            more = f"{{{k}}}.expand(len({{{given[0]}}}), {kept})"
            forward = forward.replace(f"{{{k}}}", more)
    return replace(code, forward=forward)


def _first(
    network: Network, codes: Mapping[int, tuple[LayerCode, tuple[int, ...]]]
) -> set[int]:  # fmt: skip
    """The layers that come before all others, since they belong to no block: what is computed of
    the inputs without any module, as a mask is, and tensors that several layers read."""
    readers = Counter(j for _, read in codes.values() for j in read)
    found = {*network.inputs}
    for i, (code, read) in codes.items():
        shared = code.tensor and readers[i] > 1
        if shared or (read and not code.module and found.issuperset(read)):
            found.add(i)
    return found


def readers_of(body: Sequence[PartStep]) -> list[list[int]]:
    """Returns the steps that read each step of a body; of the last one also what is after it."""
    found: list[list[int]] = [[] for _ in body]
    for i, step in enumerate(body):
        for j in step.inputs:
            if j >= 0:
                found[j].append(i)
    found[-1:] = [[*found[-1], len(body)]] if found else []
    return found


def _unit(body: Sequence[PartStep]) -> tuple[list[tuple[int, int]], int] | None:
    """The longest run of a layer and the norms and activations that follow it, of those that there
    are several of."""
    groups: dict[Any, list[int]] = defaultdict(list)
    readers = readers_of(body)
    for i, step in enumerate(body):
        length = 1
        while _follows(body, readers, i + length, first=i):
            length += 1
        if length > 1 and isinstance(step.does, LayerCode) and not step.does.follower:
            groups[tuple(s.token for s in body[i : i + length])].append(i)
    several = [(key, starts) for key, starts in groups.items() if len(starts) > 1]
    if not several:
        return None
    key, starts = max(several, key=lambda group: len(group[0]))
    return [(0, i) for i in starts], len(key)


def _follows(body: Sequence[PartStep], readers: list[list[int]], i: int, first: int) -> bool:
    """Whether step ``i`` belongs to the one before it, in a run that begins at ``first``."""
    if i >= len(body) or not is_call(body[first]):
        return False
    step = body[i]
    own = isinstance(step.does, LayerCode) and step.does.follower and is_call(step)
    return own and step.inputs == (i - 1,) and readers[i - 1] == [i]


def _best(
    parts: Sequence[CodePart], most_arguments: int
) -> tuple[list[tuple[int, int]], int] | None:
    """The places (part, step) and the length of the run that saves most lines."""
    readers = [readers_of(part.body) for part in parts]
    alive: dict[tuple[int, int], Any] = {
        (p, i): 0 for p, part in enumerate(parts) for i in range(len(part.body))
    }
    arguments: dict[tuple[int, int], dict[int, int]] = {place: {} for place in alive}
    reach = dict.fromkeys(alive, -1)  # the last reader of what is not the run's last step
    best, length = None, 0
    most = 0
    while alive:
        length += 1
        groups: dict[Any, list[tuple[int, int]]] = defaultdict(list)
        for (p, i), key in alive.items():
            j = i + length - 1
            body = parts[p].body
            if j >= len(body) or (p and length == len(body)):
                continue
            if length > 1:
                reach[p, i] = max(reach[p, i], *readers[p][j - 1])
            wiring = tuple(
                k - i if k >= i else ~arguments[p, i].setdefault(k, len(arguments[p, i]))
                for k in body[j].inputs
            )
            groups[key, body[j].token, wiring].append((p, i))
        alive = {}
        for number, places in enumerate(groups.values()):
            if len(places) < 2:
                continue
            alive.update(dict.fromkeys(places, number))
            closed = _apart(
                [
                    (p, i) for p, i in places
                    if length > 1 and reach[p, i] < i + length
                    and len(arguments[p, i]) <= most_arguments
                ],
                length,
            )  # fmt: skip
            gain = len(closed) * (length - 1) - length - _OVERHEAD
            if len(closed) > 1 and gain > most and _natural(parts, closed, length):
                best, most = (closed, length), gain
    return best


def _natural(parts: Sequence[CodePart], places: Sequence[tuple[int, int]], length: int) -> bool:
    """Whether somebody might have written a run as a block.

    It does not begin where paths meet, cuts no row of equal steps, and has one place at most where
    paths part and meet again.
    """
    p, start = places[0]
    run = parts[p].body[start : start + length]
    if not any(isinstance(s.does, CodePart) or s.does.module for s in run):
        return False  # it is a function at most
    if not is_call(run[0]) and len({k for k in run[0].inputs if k < start}) > 1:
        return False
    if any(_cuts(parts[p].body, i, length) for p, i in places):
        return False
    earliest, passes = start + length, list[bool]()
    for i in range(start + length - 1, start - 1, -1):
        passes.insert(0, earliest >= i)  # all that follows reads nothing before it
        earliest = min([earliest, *run[i - start].inputs])
    parted = 0
    for before, here, step in zip([True, *passes], passes, run, strict=False):
        branched = isinstance(step.does, CodePart) and not step.does.chain
        parted += (before and not here) or (before and here and branched)
    return parted <= 1


def _cuts(body: Sequence[PartStep], start: int, length: int) -> bool:
    """Whether a run ends, at either side, within a row of equal steps."""
    end, readers = start + length, readers_of(body)

    def row(i: int) -> bool:
        same = 0 < i < len(body) and body[i].token == body[i - 1].token
        return same and body[i].inputs == (i - 1,) and readers[i - 1] == [i]

    return row(start) or row(end) or (length > 2 and (row(start + 1) or row(end - 1)))


def _apart(places: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Those places, from the first on, that do not overlap an earlier one."""
    kept: list[tuple[int, int]] = []
    for p, i in places:
        if not kept or kept[-1][0] != p or kept[-1][1] + length <= i:
            kept.append((p, i))
    return kept


def _take_out(parts: list[CodePart], places: Sequence[tuple[int, int]], length: int) -> None:
    """Makes a part of a run, and puts its use wherever the run is."""
    p, start = places[0]
    template = parts[p].body[start : start + length]
    outside: dict[int, int] = {}
    body = [
        PartStep(
            step.does,
            tuple(
                k - start if k >= start else ~outside.setdefault(k, len(outside))
                for k in step.inputs
            ),
            [],
        )
        for step in template
    ]
    made = CodePart(body, len(outside))
    for number, part in enumerate(parts):
        first = {i for q, i in places if q == number}
        part.body = _replaced(part, made, first)
    parts.append(made)


def _replaced(part: CodePart, made: CodePart, first: set[int]) -> list[PartStep]:
    """A part's body with every run of ``made`` in it as one step; those that begin at ``first``
    before others."""
    body, length, readers = part.body, len(made.body), readers_of(part.body)
    taken = {i + k for i in first for k in range(length)}
    fresh: list[PartStep] = []
    place = {~k: ~k for k in range(part.arguments)}
    i = 0
    while i < len(body):
        free = i in first or not any(i + k in taken for k in range(length))
        given = _matched(body, readers, i, made) if free else None
        if given is None:
            step = body[i]
            step.inputs = tuple(place[k] for k in step.inputs)
            place[i] = len(fresh)
            fresh.append(step)
            i += 1
            continue
        uses = len(body[i].rows)
        for step, own in zip(body[i : i + length], made.body, strict=True):
            own.rows.extend(step.rows)
            own.values.extend(step.values)
        rows = list(range(made.uses, made.uses + uses))
        made.uses += uses
        place[i + length - 1] = len(fresh)
        fresh.append(PartStep(made, tuple(place[k] for k in given), rows))
        i += length
    return fresh


def _matched(
    body: Sequence[PartStep], readers: list[list[int]], start: int, made: CodePart
) -> tuple[int, ...] | None:
    """What stands for each argument of a part in the run that begins at ``start``, which may be one
    for two; None where it is another run."""
    if start + len(made.body) > len(body):
        return None
    given: dict[int, int] = {}
    end = start + len(made.body) - 1
    for own, step in zip(made.body, body[start:], strict=False):
        if own.token != step.token or len(own.inputs) != len(step.inputs):
            return None
        for inner, outer in zip(own.inputs, step.inputs, strict=True):
            expected = inner + start if inner >= 0 else given.setdefault(~inner, outer)
            if expected != outer or (inner < 0 and outer >= start):
                return None
    if any(reader > end for i in range(start, end) for reader in readers[i]):
        return None
    return tuple(given[k] for k in range(made.arguments))


def _inner_first(network: CodePart) -> list[CodePart]:
    """The parts that a network uses, in the order of their first use, inner ones before."""
    found: list[CodePart] = []

    def visit(part: CodePart) -> None:
        for step in part.body:
            if isinstance(step.does, CodePart) and step.does not in found:
                visit(step.does)
        if part not in found:
            found.append(part)

    visit(network)
    return found
