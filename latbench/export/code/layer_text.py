"""A layer as torch code: what it is called, what makes its module, what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any


class Text(str):
    """A value that stands in the code as it is, as ``torch.int64`` does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Argument:
    """An argument of a module's constructor; where it has its ``usual`` value it is left out."""

    name: str
    value: Any
    usual: Any = None
    by_name: bool = True

    @property
    def width(self) -> bool:
        """Returns whether it is a number of channels or features, which layers in a row share."""
        return self.name.endswith(("channels", "features"))


@dataclass(frozen=True)
class LayerCode:
    """A layer as torch code: a module that is made once, or an expression.

    ``name`` is what it is called ("conv"), ``module`` the constructor ("nn.Conv2d"), whose tensors
    have the names that the layer kind states; empty for what needs none. ``forward`` is the
    expression of its result, with ``{0}`` for the first input (and ``{self}`` for the module);
    without one it is the module's call. A ``follower`` belongs to the layer before it, as a norm.
    One that ``counts_batches`` has ``num_batches_tracked`` besides, as torch's batch norms have.
    ``source`` defines a class or function of the constructor's, at the top of the file. One that
    is a ``tensor`` has a parameter or a buffer in place of a module, and no input.
    """

    name: str
    module: str = ""
    arguments: tuple[Argument, ...] = ()
    forward: str = ""
    follower: bool = False
    source: str = ""
    counts_batches: bool = False
    tensor: bool = False

    @cached_property
    def token(self) -> tuple[Any, ...]:
        """Returns all but the numbers: layers of one token differ by these alone."""
        fixed = tuple((a.name, a.by_name, repr(a.usual), _fixed(a.value)) for a in self.arguments)
        return (self.name, self.module, fixed, self.forward, self.follower, self.source)


def _fixed(value: Any) -> str:
    varies = isinstance(value, int | float | tuple) and not isinstance(value, bool)
    return "" if varies else repr(value)
