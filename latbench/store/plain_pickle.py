"""A dictionary of numbers that somebody pickled, read without unpickling it.

The latency files of other projects are pickles, and a pickle is a program. Here its instructions
are read one by one (``pickletools``): those that make numbers, texts, tuples and dictionaries are
followed, and numpy's scalars are read as the numbers that they are. Anything else is refused:
nothing is imported, and nothing is called.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latbench.errors import DAMAGE, ParseError

MOST_BYTES = 64 * 2**20
_FORMATS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i"}
_SCALARS = ("numpy.core.multiarray", "numpy._core.multiarray")
_MARK = object()


class _Refused(ValueError):
    """An error for an instruction that makes no plain value."""


@dataclass
class _Callable:
    """A stand-in for what a pickle would call."""

    module: str
    name: str


@dataclass
class _Dtype:
    """A stand-in for numpy's type of a scalar: its kind and size, and its bytes' order."""

    kind: str
    order: str = "<"


def read_plain_pickle(path: Path) -> dict[Any, Any]:
    """Reads a pickled dictionary of numbers, texts and tuples of them.

    Raises ParseError when the file is too large, damaged, or holds anything else.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ParseError(
            f"{path} has {size:,} bytes; a table of latencies has at most {MOST_BYTES:,}"
        )
    try:
        found = _Machine().run(path.read_bytes())
    except _Refused as error:
        raise ParseError(
            f"{path} holds more than numbers ({error}); expected a pickled dictionary of numbers"
        ) from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:100]
        raise ParseError(f"{path} is damaged, or no pickle ({reason}); fetch it again") from error
    if not isinstance(found, dict):
        raise ParseError(f"{path} holds no dictionary; expected one of latencies")
    return found


class _Machine:
    """The stack of a pickle, and what it remembers."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """Follows the instructions; returns what is left at the end."""
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name == "STOP":
                (found,) = self.stack
                return found
            if name in _PUSHED:
                self.stack.append(argument)
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name not in ("PROTO", "FRAME"):
                raise _Refused(f"the instruction {name}")
        raise ValueError("it has no end")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """Takes what lies above the last mark."""
        place = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return found

    def tuple_of(self, count: int) -> None:
        found = tuple(self.stack[-count:])
        if len(found) < count or any(isinstance(v, (tuple, dict)) for v in found):
            raise _Refused("tuples of tuples")
        self.stack[-count:] = [found]

    def flat(self, _: Any) -> None:
        found = tuple(self.since_mark())
        if any(isinstance(v, (tuple, dict)) for v in found):
            raise _Refused("tuples of tuples")
        self.push(found)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("entries of no dictionary")
        if any(not isinstance(v, (int, float, str)) for v in items[1::2]):
            raise _Refused("values that are no numbers")
        target.update(zip(items[::2], items[1::2], strict=True))

    def whole(self, _: Any) -> None:
        items = self.since_mark()
        self.push({})
        self.set_items(items)

    def set_one(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def named(self, module: str, name: str) -> None:
        allowed = (module, name) == ("numpy", "dtype") or (
            module in _SCALARS and name == "scalar"
        ) or (module, name) == ("_codecs", "encode")  # fmt: skip
        if not allowed:
            raise _Refused(f"{module}.{name}"[:80])
        self.push(_Callable(module, name))

    def stack_named(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.named(str(module), str(name))

    def reduce(self, _: Any) -> None:
        """What a call would give: a type, its number, or the bytes of older protocols."""
        arguments, called = self.stack.pop(), self.stack.pop()
        if not isinstance(called, _Callable) or not isinstance(arguments, tuple):
            raise _Refused("a call")
        if called.name == "dtype":
            self.push(_Dtype(str(arguments[0])))
        elif called.name == "encode":
            self.push(str(arguments[0]).encode("latin1"))
        else:
            kind, raw = arguments
            self.push(struct.unpack(kind.order + _FORMATS[kind.kind], raw)[0])

    def build(self, _: Any) -> None:
        """A type's state has its order of bytes."""
        state, kind = self.stack.pop(), self.stack[-1]
        if not isinstance(kind, _Dtype) or not isinstance(state, tuple):
            raise _Refused("an object")
        kind.order = {"<": "<", ">": ">", "|": "<", "=": "<"}[state[1]]


_PUSHED = {
    "BININT", "BININT1", "BININT2", "INT", "LONG1", "LONG", "BINFLOAT", "FLOAT", "SHORT_BINUNICODE",
    "BINUNICODE", "UNICODE", "SHORT_BINBYTES", "BINBYTES", "SHORT_BINSTRING", "BINSTRING", "STRING",
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": lambda m, _: m.push(_MARK),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": _Machine.flat,
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "DICT": _Machine.whole,
    "SETITEM": _Machine.set_one,
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": lambda m, argument: m.named(*argument.split(" ", 1)),
    "STACK_GLOBAL": _Machine.stack_named,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "MEMOIZE": lambda m, _: m.memo.update({len(m.memo): m.stack[-1]}),
    "PUT": lambda m, i: m.memo.update({int(i): m.stack[-1]}),
    "BINPUT": lambda m, i: m.memo.update({i: m.stack[-1]}),
    "LONG_BINPUT": lambda m, i: m.memo.update({i: m.stack[-1]}),
    "GET": lambda m, i: m.push(m.memo[int(i)]),
    "BINGET": lambda m, i: m.push(m.memo[i]),
    "LONG_BINGET": lambda m, i: m.push(m.memo[i]),
}
