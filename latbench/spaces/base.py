"""The definition of a search space, for everything downstream of it.

A minimal space:

    class Depth(SearchSpace[MyArchitecture, MyConfig]):
        name = "depth"
        def sample(self, seed, index): ...      # a pure function; take self.generator(seed, index)
        def parse(self, text): ...              # parse(str(a)) == a
        def build(self, architecture): ...      # -> Network, the only place where layers are listed
        def one_hot(self, architecture): ...    # -> float32 vector, what a search differentiates
        def counts(self, architecture): ...     # -> float32 vector, interpretable totals
        def reference(self): ...                # a fixed architecture, of middling cost
        def rank(self, architecture): ...       # its number, 0 to size - 1: what a store keeps
        def unrank(self, rank): ...             # unrank(rank(a)) == a

One that writes some networks in several ways says so, by ``canonical``.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.network import Kind, Network
from latbench.networks.ops import Shape
from latbench.plugins import registry
from latbench.spaces.streams import Purpose, stream

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
MOST = 1_000_000  # of anything that a configuration counts: beyond it stands a mistake
_COUNTED = 50_000  # architectures are canonicalised to count the networks of a space
# How seeds become samples. 1: ``generator``, and a sample counts texts. 2 (2026-11-29): a stream
# that is no other purpose's, and a sample counts networks. A store goes on with its own.
SAMPLER = 2


@dataclass(frozen=True)
class SpaceConfig:
    """The settings that a space fixes besides the architecture; part of the space's identity.

    ``resolution`` is the input's height and width in pixels, ``batch`` the number of images of one
    run. Raises UsageError for a value of another type than its default's, or out of range.
    """

    channels: int = 16
    cells: int = 8
    classes: int = 10
    resolution: int = 32
    in_channels: int = 3
    batch: int = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default):  # True is no number of channels
                kind = type(field.default).__name__
                raise UsageError(f"{field.name} must be of type {kind}, got {value!r}")
            if isinstance(value, int) and not 1 <= value <= MOST:
                raise UsageError(f"{field.name} must be 1 to {MOST:,}, got {value:,}")

    @property
    def input_shape(self) -> Shape:
        """Returns the input's shape, ``(batch, in_channels, resolution, resolution)``."""
        return (self.batch, self.in_channels, self.resolution, self.resolution)


def generator(seed: int, index: int) -> np.random.Generator:
    """Returns the random numbers of the ``index``-th sample of the stream ``seed``, as sampler 1
    has them.

    It stays as it is, because stored samples of spaces that call it are repeated with it; a new
    space takes ``SearchSpace.generator``. Raises UsageError for a negative number.
    """
    if seed < 0 or index < 0:
        raise UsageError(f"a seed and an index must be 0 or more, got {seed} and {index}")
    # numpy fills up with zeros: (seed, 0) is default_rng(seed), and a seed from 2^32 meets others'.
    return np.random.default_rng([seed, index])


def tight(text: str) -> str:
    """Removes white space around a text and around the signs between its parts.

    It is what people break and indent, and what a page's copy adds.
    """
    return re.sub(r" ?([|+~:;]) ?", r"\1", " ".join(text.split()))


A = TypeVar("A", bound=Hashable)
C = TypeVar("C", bound=SpaceConfig)
S = TypeVar("S", bound="SearchSpace[Any, Any]")


class SearchSpace(ABC, Generic[A, C]):
    """A set of architectures with one way to sample, name, encode and build them.

    Two spaces are equal when their names and configurations are.
    """

    name: ClassVar[str]
    encoding_version: ClassVar[int] = 1
    sampler: int = SAMPLER  # how ``sample`` and ``unique_samples`` draw: see ``with_sampler``
    published: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # architectures by their names
    config: C

    @abstractmethod
    def sample(self, seed: int, index: int) -> A:
        """Returns the ``index``-th architecture of the stream ``seed``; the same on every
        machine."""

    @abstractmethod
    def parse(self, text: str) -> A:
        """Parses what ``str`` gave, or a published notation of an architecture.

        Raises ParseError, naming what is wrong, when the text is not in the space.
        """

    @abstractmethod
    def build(self, architecture: A) -> Network:
        """Builds the architecture's layers at this space's configuration."""

    @abstractmethod
    def one_hot(self, architecture: A) -> Array:
        """Encodes one choice a row, flattened, float32; the encoding that a search
        differentiates."""

    @abstractmethod
    def counts(self, architecture: A) -> Array:
        """Counts how often each operation occurs in each kind of place, float32."""

    def one_hot_all(self, architectures: Sequence[A]) -> Array:
        """Returns ``one_hot`` of one or more, ``(n, d)``; a space may have a faster way for
        many."""
        return np.stack([self.one_hot(a) for a in architectures])

    def counts_all(self, architectures: Sequence[A]) -> Array:
        """Returns ``counts`` of one or more, ``(n, d)``."""
        return np.stack([self.counts(a) for a in architectures])

    @abstractmethod
    def reference(self) -> A:
        """Returns a fixed architecture of the space, of middling cost: for examples and checks."""

    def layer_kinds(self) -> tuple[Kind, ...]:  # replaced by the core
        """Returns all kinds of layers that the space's networks can have."""
        return _sampled_kinds(self)

    def counts_matrix(self) -> Array:  # replaced by the core
        """Returns ``M (d_one_hot, d_counts)`` with ``one_hot @ M == counts`` everywhere."""
        return _sampled_matrix(self)

    @property
    @abstractmethod
    def size(self) -> int:
        """Returns the number of different architectures."""

    @abstractmethod
    def rank(self, architecture: A) -> int:
        """Returns the architecture's number, 0 to ``size - 1``: a bijection, and the same for
        ever."""

    @abstractmethod
    def unrank(self, rank: int) -> A:
        """Returns the architecture with a number. Raises UsageError outside 0 to ``size - 1``."""

    def check_rank(self, rank: int) -> int:
        """Returns ``rank`` itself. Raises UsageError outside 0 to ``size - 1``."""
        if not 0 <= rank < self.size:
            raise UsageError(
                f"{self.name} numbers its architectures 0 to {self.size - 1}, got {rank}"
            )
        return rank

    def canonical(self, architecture: A) -> A:
        """Returns the architecture that stands for all those whose networks have the same layers.

        The order of a sum's terms makes no other network. By default every architecture stands for
        itself. It must be about as quick as ``counts``: samples, folds and searches ask it of every
        architecture, so that a network counts once, however it is written.
        """
        return architecture

    @property
    def repeats_networks(self) -> bool:
        """Returns whether the space gives its own ``canonical``: it may write a network twice."""
        return type(self).canonical is not SearchSpace.canonical

    def canonical_ranks(self, ranks: Ints) -> Ints:
        """Returns the numbers of the ``canonical`` architectures of numbers ``(n,)``; a space may
        have a faster way for many."""
        if not self.repeats_networks:
            return ranks
        found = [self.rank(self.canonical(self.unrank(rank))) for rank in ranks.tolist()]
        return np.array(found, np.int64)

    @cached_property
    def networks(self) -> int:
        """Returns the number of different networks: ``size``, less what ``canonical`` says is
        written twice.

        They are counted one by one; of a space of more than 50,000 architectures it is ``size``.
        """
        if not self.repeats_networks or self.size > _COUNTED:
            return self.size
        return len(np.unique(self.canonical_ranks(np.arange(self.size))))

    @property
    def distinct(self) -> int:
        """Returns how many architectures ``unique_samples`` can give.

        These are all networks, or, with sampler 1, all architectures.
        """
        return self.size if self.sampler == 1 else self.networks

    def distinct_ranks(self, ranks: Ints) -> Ints:
        """Returns the numbers by which ``unique_samples`` tells architectures of ``ranks``
        apart."""
        return ranks if self.sampler == 1 else self.canonical_ranks(ranks)

    def with_sampler(self: S, version: int) -> S:
        """Returns the space, drawing as latbench did when ``SAMPLER`` was ``version``; equal to
        this one.

        Raises UsageError for an unknown version.
        """
        if not 1 <= version <= SAMPLER:
            raise UsageError(f"there are samplers 1 to {SAMPLER}, got {version}")
        if version == self.sampler:
            return self
        other = copy.copy(self)
        other.sampler = version
        return other

    def generator(self, seed: int, index: int) -> np.random.Generator:
        """Returns the random numbers for ``sample``. Raises UsageError for a negative number."""
        if self.sampler == 1:
            return generator(seed, index)
        return np.random.default_rng(stream(Purpose.SAMPLE, seed, index))

    def unique_samples(self, seed: int, n: int) -> Iterator[tuple[int, A]]:
        """Yields the first ``n`` architectures of a stream with different networks, each with its
        index.

        It is a pure function of (space, sampler, seed, n); a longer sample begins with the shorter
        one. Raises UsageError at once when the space has fewer than ``n``.
        """
        if not 1 <= n <= self.distinct:
            what = "architectures" if self.sampler == 1 else "different networks"
            raise UsageError(f"cannot sample {n} of the {self.distinct:,} {what} of {self}")
        return itertools.islice(self._distinct(seed), n)

    def _distinct(self, seed: int) -> Iterator[tuple[int, A]]:
        seen: set[A] = set()
        for index in itertools.count():
            architecture = self.sample(seed, index)
            key = architecture if self.sampler == 1 else self.canonical(architecture)
            if key not in seen:
                seen.add(key)
                yield index, architecture

    @property
    def _full_name(self) -> str:
        """The name that ``make_space`` takes: the registered one, or ``"module:Class"``."""
        return registry("space").name_of(type(self))

    def identity(self) -> dict[str, Any]:
        """Returns the name, configuration and encoding version: what a store or a predictor is
        bound to.

        A space that is not registered has the name ``"module:Class"``.
        """
        return {
            "name": self._full_name,
            "config": dataclasses.asdict(self.config),
            "encoding_version": self.encoding_version,
        }

    def __str__(self) -> str:
        values = dataclasses.asdict(self.config)
        return f"{self._full_name}({', '.join(f'{k}={v}' for k, v in values.items())})"

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash(json.dumps(self.identity(), sort_keys=True))


AnySpace = SearchSpace[Any, Any]


@functools.lru_cache(maxsize=8)
def _sampled_kinds(space: AnySpace) -> tuple[Kind, ...]:  # replaced by the core
    drawing, found = space.with_sampler(1), dict[Kind, None]()
    for a in (space.reference(), *(drawing.sample(0, i) for i in range(64))):
        found.update(dict.fromkeys(space.build(a).kinds()))
    return tuple(found)


@functools.lru_cache(maxsize=8)
def _sampled_matrix(space: AnySpace) -> Array:  # replaced by the core
    from scipy.optimize import nnls

    some = [space.sample(0, i) for i in range(min(1280, 4 * space.size))]
    one_hot, target = space.one_hot_all(some), space.counts_all(some)
    left, right = (part[:1024].astype(float) for part in (one_hot, target))
    squares, products = left.T @ left, left.T @ right
    matrix = np.rint(np.stack([nnls(squares, p)[0] for p in products.T], axis=1))
    if not np.array_equal(one_hot @ matrix, target):
        raise UsageError(f"the counts of {space} are no sum of its one-hot entries")
    found: Array = matrix.astype(np.float32)
    found.setflags(write=False)
    return found
