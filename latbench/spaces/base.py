"""The definition of a search space, for everything downstream of it.

A space states its variables and its assembly, once:

    class Chain(SearchSpace[ChainConfig]):
        name = "chain"

        def variables(self):
            yield One("width", ("16", "24", "32"), kind="width")
            for i in range(4):
                yield One(f"{i}.block", ("k3e3", "k5e6", "skip"))

        def assemble(self, b):
            x = conv_bn(b, b.input, b.number("width"), 3)
            for i in range(4):
                x = b.one(f"{i}.block", BLOCKS, x)
            return classifier(b, x, self.config.classes)

Size, numbering, sampling, encodings with named columns, mutation, the supernet, the list of its
layers, notation and drawing follow. A space that has a notation of its own, stored samples to keep,
or writes some networks in several ways (``canonical``) overrides what it must.
"""

from __future__ import annotations

import copy
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.network import Kind, Network
from latbench.networks.ops import Shape
from latbench.plugins import registry
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler, Concrete
from latbench.spaces.columns import Columns
from latbench.spaces.derived import all_layer_kinds
from latbench.spaces.drawing import Drawing, choices_graph
from latbench.spaces.forest import Forest
from latbench.spaces.landmarks import Landmarks
from latbench.spaces.notation import code_of, published_text, read_values, text_of, text_of_values
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.streams import Purpose, first_sampler, stream
from latbench.spaces.supernet import supernet_of
from latbench.spaces.variables import One, Variable

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Ranks = npt.NDArray[Any]  # int64, or Python integers where a space has more than 2^63
_COUNTED = 50_000  # architectures are canonicalised to count the networks of a space
# How seeds become samples. 1: ``first_sampler``, and a sample counts texts. 2 (2026-11-29): a
# stream that is no other purpose's, and a sample counts networks. A store goes on with its own.
SAMPLER = 2


C = TypeVar("C", bound=SpaceConfig)
S = TypeVar("S", bound="SearchSpace[Any]")


class SearchSpace(ABC, Generic[C]):
    """A set of architectures with one way to sample, name, encode and build them.

    It is made by ``MySpace(config)``, and by ``MySpace()`` with the default configuration. Two
    spaces are equal when their names and configurations are.
    """

    name: ClassVar[str]
    encoding_version: ClassVar[int] = 1
    # Settings that an earlier encoding version wrote down, and that mean nothing any more.
    dropped: ClassVar[Mapping[int, tuple[str, ...]]] = MappingProxyType({})
    sampler: int = SAMPLER  # how ``sample`` and ``unique_samples`` draw: see ``with_sampler``
    published: ClassVar[Mapping[str, str]] = MappingProxyType({})  # canonical texts by their names
    # Settings with which its networks are built, run and trained in milliseconds, for checks.
    small: ClassVar[Mapping[str, Any]] = MappingProxyType({"resolution": 16})
    config: C

    def __class_getitem__(cls, item: Any) -> Any:
        if isinstance(item, tuple):  # as a space of before 2026-11-29 has it
            raise UsageError(
                f"a space names its configuration alone, SearchSpace[MyConfig], got {len(item)} "
                "types; it states variables() and assemble() now, see docs/own-space.md"
            )
        return super().__class_getitem__(item)  # type: ignore[misc]

    @property
    def parent(self) -> SearchSpace[Any] | None:
        """Returns the space whose single layers are this one's architectures; None, unless it is
        such a space (``latbench.spaces.internal.isolated``)."""
        return None

    # -- what a space states ---------------------------------------------------------------------

    @abstractmethod
    def variables(self) -> Iterable[Variable]:
        """Yields the space's variables, each after the one that it hangs on."""

    @abstractmethod
    def assemble(self, b: Assembler) -> int:
        """Appends the layers of a network, asking ``b`` at every variable, and returns the index of
        the output: the only place where layers are listed."""

    # -- what may be overridden ------------------------------------------------------------------

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        """Returns the shape of the input ``(N, C, H, W)``; a space with a variable for the
        resolution asks ``number`` for it."""
        return self.config.input_shape

    def label(self, v: Variable, option: str) -> str | None:
        """Returns the name under which an option is counted (``counts``), None for none."""
        return f"{v.kind}.{option}"

    def family(self, option: str) -> str:
        """Returns what an operator is a variant of: a layer keeps few of each
        (``latbench.operators.pools``). By default the letters that its name begins with."""
        return "".join(itertools.takewhile(str.isalpha, option)) or option

    def text(self, architecture: Architecture) -> str:
        """Returns an architecture's canonical text."""
        return text_of(self.forest, architecture.code)

    def parse(self, text: str) -> Architecture:
        """Parses a canonical text, the name of a published architecture, or a dictionary
        (``from_values``). Raises ParseError, naming what is wrong, for what is not in the space."""
        text = text.strip()
        if text.startswith("{"):
            text = self.from_values(read_values(text))
        return self.of(code_of(self.forest, published_text(self, text)))

    def from_values(self, values: Mapping[str, Any]) -> str:
        """Returns the text of a dictionary: of values by the variables' names, unless a space knows
        another notation."""
        return text_of_values(values)

    @classmethod
    def settings_of(cls, name: str) -> Mapping[str, Any]:
        """Returns the settings at which a published name is that network; by default at all."""
        return {}

    def sample(self, seed: int, index: int) -> Architecture:
        """Returns the ``index``-th architecture of the stream ``seed``, drawn uniformly; the same
        on every machine."""
        return self.of(self.forest.uniform(self.generator(seed, index)))

    def rank(self, architecture: Architecture) -> int:
        """Returns the architecture's number, 0 to ``size - 1``: a bijection, and the same for
        ever."""
        return self.forest.rank(architecture.code)

    def unrank(self, rank: int) -> Architecture:
        """Returns the architecture with a number. Raises UsageError outside 0 to ``size - 1``."""
        return self.of(self.forest.unrank(self.check_rank(rank)))

    def reference(self) -> Architecture:
        """Returns a fixed architecture of middling cost: for examples and checks."""

        def choose(i: int) -> int:
            v = self.forest.variables[i]
            return (len(v.options) - 1) // 2 if isinstance(v, One) else (1 << max(1, v.least)) - 1

        return self.of(self.forest.grow(choose))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the architecture that stands for all those whose networks have the same layers.

        The order of a sum's terms makes no other network. By default every architecture stands for
        itself. It must be about as quick as ``counts``: samples, folds and searches ask it of every
        architecture, so that a network counts once, however it is written.
        """
        return architecture

    def canonical_ranks(self, ranks: Ranks) -> Ranks:
        """Returns the numbers of the ``canonical`` architectures of numbers ``(n,)``; a space may
        have a faster way for many."""
        if not self.repeats_networks:
            return ranks
        found = [self.rank(self.canonical(self.unrank(rank))) for rank in ranks.tolist()]
        return np.array(found, ranks.dtype)

    def renumbering(self, version: int) -> Sequence[int] | None:
        """Returns today's number of each architecture as ``encoding_version`` ``version`` numbered
        them, so that its stores go on; None where they cannot."""
        return None

    def drawing(self, architecture: Architecture) -> Sequence[Drawing]:
        """Returns what a drawing of an architecture shows: its choices in a row, unless a space
        knows better."""
        return [choices_graph(architecture.values())]

    def landmarks(self, architecture: Architecture) -> Landmarks | None:
        """Returns the places where training adds drop path and an auxiliary head to the built
        network; None where none were published."""
        return None

    # -- what follows ----------------------------------------------------------------------------

    def of(self, code: tuple[int, ...]) -> Architecture:
        """Returns the architecture of a code: see ``latbench.spaces.forest``."""
        return Architecture(code, self)

    @cached_property
    def forest(self) -> Forest:
        """Returns the variables. Raises UsageError where they form no forest."""
        return Forest(tuple(self.variables()), self.name)

    @cached_property
    def columns(self) -> Columns:
        """Returns the readings of architectures as vectors with named columns."""
        return Columns(self.forest, self.label)

    def build(self, architecture: Architecture) -> Network:
        """Builds the architecture's layers at this space's configuration."""
        b = Concrete(self, architecture)
        return b.build(self.assemble(b))

    def supernet(self, search: bool = True) -> Network:
        """Returns all architectures at once, see ``latbench.spaces.supernet``; built once.

        ``search`` asks for the network that is searched, where another one is derived. Raises
        UsageError for a variable that the assembly never asks for, or an option that builds no
        valid layer.
        """
        if search not in self._supernets:
            self._supernets[search] = supernet_of(self, self.assemble, search)
        return self._supernets[search]

    @cached_property
    def _supernets(self) -> dict[bool, Network]:
        return {}

    @cached_property
    def _layer_kinds(self) -> tuple[Kind, ...]:
        return all_layer_kinds(self.supernet(search=False), self.forest)

    def layer_kinds(self) -> tuple[Kind, ...]:
        """Returns every layer that a network of the space may have, exactly, in a fixed order.

        Raises UsageError as ``supernet`` does.
        """
        return self._layer_kinds

    @property
    def size(self) -> int:
        """Returns the number of different architectures."""
        return self.forest.size

    def one_hot(self, architecture: Architecture) -> Array:
        """Encodes one choice a row, flattened, float32; the encoding that a search
        differentiates."""
        return np.asarray(self.one_hot_all([architecture])[0])

    def counts(self, architecture: Architecture) -> Array:
        """Counts how often each labelled option occurs, float32."""
        return np.asarray(self.counts_all([architecture])[0])

    def one_hot_all(self, architectures: Sequence[Architecture]) -> Array:
        """Returns ``one_hot`` of many, ``(n, d)``."""
        return self.columns.one_hot([a.code for a in architectures])

    def counts_all(self, architectures: Sequence[Architecture]) -> Array:
        """Returns ``counts`` of many, ``(n, d)``."""
        return self.columns.counts([a.code for a in architectures])

    def counts_matrix(self) -> Array:
        """Returns ``M`` with ``one_hot @ M == counts`` on the whole space, read only."""
        return self.columns.matrix

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns an architecture in which one variable has another value; see
        ``Forest.mutated``."""
        return self.of(self.forest.mutated(architecture.code, rng))

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns an architecture in which each variable has its value in either parent."""
        return self.of(self.forest.crossed(a.code, b.code, rng))

    def check_rank(self, rank: int) -> int:
        """Returns ``rank`` itself. Raises UsageError outside 0 to ``size - 1``."""
        if not 0 <= rank < self.size:
            raise UsageError(
                f"{self.name} numbers its architectures 0 to {self.size - 1}, got {rank}"
            )
        return rank

    @property
    def repeats_networks(self) -> bool:
        """Returns whether the space gives its own ``canonical``: it may write a network twice."""
        return type(self).canonical is not SearchSpace.canonical

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

    def distinct_ranks(self, ranks: Ranks) -> Ranks:
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
            return first_sampler(seed, index)
        return np.random.default_rng(stream(Purpose.SAMPLE, seed, index))

    def unique_samples(self, seed: int, n: int) -> Iterator[tuple[int, Architecture]]:
        """Yields the first ``n`` architectures of a stream with different networks, each with its
        index.

        It is a pure function of (space, sampler, seed, n); a longer sample begins with the shorter
        one. Raises UsageError at once when the space has fewer than ``n``.
        """
        if not 1 <= n <= self.distinct:
            what = "architectures" if self.sampler == 1 else "different networks"
            raise UsageError(f"cannot sample {n} of the {self.distinct:,} {what} of {self}")
        return itertools.islice(self._distinct(seed), n)

    def _distinct(self, seed: int) -> Iterator[tuple[int, Architecture]]:
        seen: set[Architecture] = set()
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
            "config": self.config.settings(),
            "encoding_version": self.encoding_version,
        }

    def __deepcopy__(self: S, memo: object) -> S:
        return self  # it never changes

    def __str__(self) -> str:
        return f"{self._full_name}({self.config})"

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash(json.dumps(self.identity(), sort_keys=True))


AnySpace = SearchSpace[Any]
