"""A number that a space leaves open: its largest value to whoever computes shapes, and all at once.

A supernet computes with the largest width, and its layers still know on which variables their
shapes depend: arithmetic keeps a table of the results, through ``channels * expansion`` and
``channels // 4`` alike. A question whose answer is not the same for all values is refused, instead
of being answered for the largest in silence.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from latbench.errors import UsageError

T = TypeVar("T")
Answers = Mapping[str, int]  # the number of an option by its variable
Table = dict[tuple[int, ...], int]
# Of combinations of options that one number may depend on; beyond it stands a mistake.
_MOST = 20_000


class OpenNumber(int):
    """An int that depends on variables; as an int it is the largest of its values.

    ``names`` are the variables, ``table`` has its value for every combination of their options'
    numbers. ``open_number`` makes it in its one form.
    """

    names: tuple[str, ...]
    table: Table

    def __new__(cls, names: Sequence[str], table: Table) -> OpenNumber:
        """Makes the largest of the table's values an int that knows all of them."""
        self = super().__new__(cls, max(table.values()))
        self.names, self.table = tuple(names), table
        return self

    def __deepcopy__(self, memo: object) -> OpenNumber:
        return self

    def at(self, answers: Answers) -> int:
        """Returns the value where the variables have the given options."""
        return self.table[tuple(answers[name] for name in self.names)]

    def __hash__(self) -> int:
        return hash((self.names, tuple(self.table.values())))

    def __repr__(self) -> str:
        values = sorted(set(self.table.values()))
        return f"<{' or '.join(map(str, values))} by {', '.join(self.names)}>"

    def __add__(self, other: int) -> Any:
        return _combined(operator.add, self, other)

    def __radd__(self, other: int) -> Any:
        return _combined(operator.add, other, self)

    def __sub__(self, other: int) -> Any:
        return _combined(operator.sub, self, other)

    def __rsub__(self, other: int) -> Any:
        return _combined(operator.sub, other, self)

    def __mul__(self, other: int) -> Any:
        return _combined(operator.mul, self, other)

    def __rmul__(self, other: int) -> Any:
        return _combined(operator.mul, other, self)

    def __floordiv__(self, other: int) -> Any:
        return _combined(operator.floordiv, self, other)

    def __rfloordiv__(self, other: int) -> Any:
        return _combined(operator.floordiv, other, self)

    def __mod__(self, other: int) -> Any:
        return _combined(operator.mod, self, other)

    def __rmod__(self, other: int) -> Any:
        return _combined(operator.mod, other, self)

    def __neg__(self) -> Any:
        return _combined(operator.sub, 0, self)

    def _refused(self, *others: object) -> Any:
        raise UsageError(
            f"{self!r} is computed with by something else than +, -, *, // and % of whole numbers, "
            "which would take the largest alone; write of_each(function, number, ...)"
        )

    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __divmod__ = __rdivmod__ = _refused
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __and__ = __rand__ = _refused
    __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = __abs__ = __round__ = _refused
    __ceil__ = __floor__ = __trunc__ = __float__ = _refused

    def __eq__(self, other: object) -> bool:
        if isinstance(other, OpenNumber) and (self.names, self.table) == (other.names, other.table):
            return True  # as most shapes are
        return _decided("==", operator.eq, self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: object) -> bool:
        return _decided("<", operator.lt, self, other)

    def __le__(self, other: object) -> bool:
        return _decided("<=", operator.le, self, other)

    def __gt__(self, other: object) -> bool:
        return _decided(">", operator.gt, self, other)

    def __ge__(self, other: object) -> bool:
        return _decided(">=", operator.ge, self, other)

    def __bool__(self) -> bool:
        return _decided("!=", operator.ne, self, 0)


def open_number(names: Sequence[str], table: Table) -> int:
    """Returns the number with a value for every combination of options, in its one form: of the
    variables that it depends on only, in the order of their names; a plain int where there is none.
    """
    kept = [n for i, n in enumerate(names) if _depends(table, i)]
    if not kept:
        return int(next(iter(table.values())))
    kept.sort()
    places = [list(names).index(name) for name in kept]
    found = {tuple(key[i] for i in places): value for key, value in table.items()}
    return OpenNumber(kept, dict(sorted(found.items())))


def of_each(function: Callable[..., int], *numbers: int) -> int:
    """Returns what a function of whole numbers gives, for all values of those that are open.

    It is for what is more than sums, products and whole divisions: rounding a width to a multiple
    of 8, say. Raises UsageError for a function that gives something else than a whole number.
    """
    names = open_names(numbers)
    options = {name: _options_of(name, numbers) for name in names}
    _check_combinations({name: len(found) for name, found in options.items()}, "a number")
    table = {}
    for key in itertools.product(*(options[name] for name in names)):
        value = function(*at(numbers, dict(zip(names, key, strict=True))))
        if not isinstance(value, int):
            raise UsageError(f"the function gave {value!r} for {numbers}; expected a whole number")
        table[key] = value
    return open_number(names, table)


def _depends(table: Table, place: int) -> bool:
    """Whether a table's value differs by the variable at a place of its keys."""
    seen: dict[tuple[int, ...], int] = {}
    return any(
        seen.setdefault((*key[:place], *key[place + 1 :]), value) != value
        for key, value in table.items()
    )


def _together(
    f: Callable[[Any, Any], Any], a: Any, b: Any
) -> tuple[tuple[str, ...], dict[Any, Any]]:
    """The variables of two numbers, and f of them for every combination of options."""
    names = open_names((a, b))
    options = {name: _options_of(name, (a, b)) for name in names}
    _check_combinations({name: len(found) for name, found in options.items()}, "a number")
    found = {}
    for key in itertools.product(*(options[name] for name in names)):
        answers = dict(zip(names, key, strict=True))
        found[key] = f(at(a, answers), at(b, answers))
    return names, found


def _combined(f: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    for number, other in ((a, b), (b, a)):
        if isinstance(number, OpenNumber) and isinstance(other, float):
            number._refused()
    if not (isinstance(a, int) and isinstance(b, int)):
        return NotImplemented
    return open_number(*_together(f, a, b))


def _decided(sign: str, f: Callable[[Any, Any], Any], a: OpenNumber, b: object) -> bool:
    if not isinstance(b, int | float):
        if sign == "==":
            return False
        raise TypeError(f"cannot compare {a!r} {sign} {b!r}")
    names, table = _together(f, a, b)
    answers = set(table.values())
    if len(answers) > 1:
        raise UsageError(
            f"whether {a!r} {sign} {b!r} depends on the variables {', '.join(names)}; an assembly "
            "may not decide by it, since a supernet is all of them at once"
        )
    return bool(answers.pop())


def open_names(value: Any) -> tuple[str, ...]:
    """Returns the variables that a number, a shape or a layer kind depends on."""
    found: dict[str, None] = {}
    _collect(value, found)
    return tuple(found)


def _collect(value: Any, found: dict[str, None]) -> None:
    if isinstance(value, OpenNumber):
        found.update(dict.fromkeys(value.names))
    elif isinstance(value, tuple | list):
        for part in value:
            _collect(part, found)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            _collect(getattr(value, field.name), found)


def at(value: T, answers: Answers | None) -> T:
    """Returns a number, a shape or a layer kind with its open numbers settled: at the given
    options, or at its largest where ``answers`` is None."""
    x: Any = value
    if isinstance(x, OpenNumber):
        return int(x) if answers is None else x.at(answers)  # type: ignore[return-value]
    if isinstance(x, tuple):
        return tuple(at(part, answers) for part in x)  # type: ignore[return-value]
    if dataclasses.is_dataclass(x) and not isinstance(x, type) and open_names(x):
        values = {f.name: at(getattr(x, f.name), answers) for f in dataclasses.fields(x)}
        return dataclasses.replace(x, **values)  # type: ignore[return-value]
    return value


def open_shape(op: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns the shape of a layer's result, asked of the layer kind once for every combination of
    the variables that it and its inputs depend on; it need not know of open numbers.

    Raises UsageError as the layer kind does, naming the combination that it refuses, or for results
    of different lengths.
    """
    names = open_names((op, shapes))
    if not names:
        shape: tuple[int, ...] = op.output_shape(*shapes)
        return shape
    options = {name: _options_of(name, (op, shapes)) for name in names}
    _check_combinations({name: len(found) for name, found in options.items()}, op)
    results: dict[tuple[int, ...], tuple[int, ...]] = {}
    for key in itertools.product(*(options[name] for name in names)):
        answers = dict(zip(names, key, strict=True))
        results[key] = at(op, answers).output_shape(*at(tuple(shapes), answers))
    if len({len(shape) for shape in results.values()}) > 1:
        raise UsageError(f"{op} gives results of different ranks by {', '.join(names)}")
    return tuple(
        open_number(names, dict(zip(results, dimensions, strict=True)))
        for dimensions in zip(*results.values(), strict=True)
    )


def _options_of(name: str, value: Any) -> list[int]:
    """The numbers of the options of a variable that a value depends on."""
    found: set[int] = set()

    def walk(x: Any) -> None:
        if isinstance(x, OpenNumber) and name in x.names:
            found.update(key[x.names.index(name)] for key in x.table)
        elif isinstance(x, tuple | list):
            for part in x:
                walk(part)
        elif dataclasses.is_dataclass(x) and not isinstance(x, type):
            for field in dataclasses.fields(x):
                walk(getattr(x, field.name))

    walk(value)
    return sorted(found)


def _check_combinations(options: Mapping[str, int], what: Any) -> None:
    combinations = math.prod(options.values())
    if combinations > _MOST:
        raise UsageError(
            f"{what} depends on the variables {', '.join(options)} at once, which have "
            f"{combinations:,} combinations; expected at most {_MOST:,}"
        )


def settled(value: T, options: Mapping[str, int]) -> Iterator[T]:
    """Yields the value under every combination of the variables that it depends on.

    ``options`` is the number of options of each variable. Raises UsageError for more combinations
    than a list of layers can hold.
    """
    names = open_names(value)
    _check_combinations({name: options[name] for name in names}, f"the layer {value}")
    for key in itertools.product(*(range(options[name]) for name in names)):
        yield at(value, dict(zip(names, key, strict=True)))
