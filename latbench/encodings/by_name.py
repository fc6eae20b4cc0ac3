"""The encodings by name; what a name, or an encoding of a predictor's, makes of architectures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, overload

import numpy as np

from latbench.encodings.base import Array, Encoding, require_space
from latbench.encodings.cost import COST_FEATURES, CostEncoding
from latbench.encodings.graph import GraphEncoding
from latbench.encodings.layers import LayersEncoding
from latbench.errors import UsageError, quoted, unknown
from latbench.networks.network import Network
from latbench.spaces import AnySpace


class OneHotEncoding(Encoding):
    """The encoding ``one_hot``, which a space defines."""

    name = "one_hot"

    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Array:
        """Returns the space's one-hot vectors."""
        return require_space(self, space).one_hot_all(architectures)

    def one_hot_matrix(self, space: AnySpace) -> Array:
        """Returns the identity."""
        return np.eye(len(space.one_hot(space.reference())), dtype=np.float32)


class CountsEncoding(Encoding):
    """The encoding ``counts``, which a space defines."""

    name = "counts"

    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Array:
        """Returns the space's counts."""
        return require_space(self, space).counts_all(architectures)

    def one_hot_matrix(self, space: AnySpace) -> Array:
        """Returns the space's ``counts_matrix``."""
        return space.counts_matrix()


_BUILT_IN: Mapping[str, Encoding] = MappingProxyType(
    {
        encoding.name: encoding
        for encoding in (
            OneHotEncoding(), CountsEncoding(), CostEncoding(), LayersEncoding(), GraphEncoding(),
        )
    }
)  # fmt: skip
ENCODINGS: tuple[str, ...] = tuple(_BUILT_IN)


class _Built(Sequence[Network]):
    """The networks of architectures, built when they are asked for."""

    def __init__(self, space: AnySpace, architectures: Sequence[Any]) -> None:
        self._space, self._architectures = space, architectures

    def __len__(self) -> int:
        return len(self._architectures)

    @overload
    def __getitem__(self, index: int) -> Network: ...

    @overload
    def __getitem__(self, index: slice) -> _Built: ...

    def __getitem__(self, index: int | slice) -> Network | _Built:
        chosen: Any = self._architectures[index]
        if isinstance(index, slice):
            return _Built(self._space, chosen)
        return self._space.build(chosen)

    def __iter__(self) -> Iterator[Network]:
        return map(self._space.build, self._architectures)


def encoding_of(encoding: str | Encoding) -> Encoding:
    """Returns the encoding of a name, or one of a predictor's own, which is checked.

    Raises UsageError for an unknown name, and for an object that is no whole encoding.
    """
    if isinstance(encoding, str):
        if encoding not in _BUILT_IN:
            raise UsageError(unknown("encoding", encoding, ENCODINGS))
        return _BUILT_IN[encoding]
    if not isinstance(encoding, Encoding):
        raise UsageError(
            f"an encoding is one of {', '.join(ENCODINGS)}, or an object of a class that derives "
            f"from latbench.encodings.base.Encoding; got {quoted(repr(encoding))}"
        )
    name, version = getattr(encoding, "name", None), encoding.version
    if not isinstance(name, str) or not name or _BUILT_IN.get(name, encoding) is not encoding:
        raise UsageError(
            f"an encoding of one's own needs a name of its own, a text besides "
            f"{', '.join(ENCODINGS)}; {type(encoding).__name__} has {name!r}"
        )
    if type(version) is not int or version < 1:
        raise UsageError(f"the encoding {name!r} needs a version from 1, it has {version!r}")
    return encoding


def encode(space: AnySpace, architectures: Sequence[Any], encoding: str | Encoding) -> Array:
    """Encodes architectures of a space as vectors, float32, shape ``(n, d)``.

    ``d`` is the same for all of a space's architectures, or that of the widest of these for an
    encoding without a ``fixed_width`` (``graph``). Raises UsageError for an unknown encoding.
    """
    found = encoding_of(encoding)
    if not architectures:
        return encode(space, [space.reference()], found)[:0]
    return _encoded(found, space, architectures, _Built(space, architectures))


def width_of(space: AnySpace, encoding: str | Encoding) -> int | None:
    """Returns the columns of an encoding in a space; None where they are no fixed number."""
    found = encoding_of(encoding)
    if isinstance(found, CostEncoding):
        return len(COST_FEATURES)  # without building a network
    return encode(space, [], found).shape[1] if found.fixed_width else None


def encode_networks(
    networks: Sequence[Network], encoding: str | Encoding, slots_of: AnySpace | None = None
) -> Array:
    """Encodes one or more networks of no space as vectors, float32, shape ``(n, d)``.

    Args:
        networks: The networks.
        encoding: The encoding's name, or the encoding.
        slots_of: A space whose slots ``layers`` has; by default it has those of
            ``latbench.encodings.layers.SIZE_SLOTS``.

    Returns:
        One row a network.

    Raises:
        UsageError: For an encoding that is of architectures, for no network, and for a layer that
            the space's networks do not have.
    """
    if not networks:
        raise UsageError("there is no network to encode; give one or more")
    found = encoding_of(encoding)
    space = slots_of if isinstance(found, LayersEncoding) else None
    return _encoded(found, space, (), networks)


def _encoded(
    encoding: Encoding, space: AnySpace | None, architectures: Sequence[Any],
    networks: Sequence[Network],
) -> Array:  # fmt: skip
    """What an encoding gives, checked: it may be others' code."""
    given = encoding.encode(space, architectures, networks)
    try:
        vectors = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the encoding {encoding.name!r} must give numbers (n, d): {error}"
        ) from error
    if vectors.ndim != 2 or len(vectors) != len(networks):
        raise UsageError(
            f"the encoding {encoding.name!r} gave numbers of shape {vectors.shape} for "
            f"{len(networks)} networks; it must give one row each"
        )
    return vectors
