"""The keys of rows: the number of an architecture, or the text of a model.

A store keeps a *key*: an INTEGER for an architecture's number below 2^63, a BLOB (big-endian, no
zero in front) for a larger one, TEXT (``name@digest``) for a model that is no architecture of the
space. In arrays a model has a *number*, too: one below -1, made of its text.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.models import is_model_text
from latbench.spaces import AnySpace

MAX_INTEGER = 2**63 - 1  # SQLite's
RowKey = int | bytes | str
Numbers = npt.NDArray[Any]  # int64, or Python integers where they may be larger


def number_type(size: int) -> type[Any]:
    """Returns the type of arrays of architectures' numbers of a space of ``size``: int64 where it
    holds them all, else Python integers, which take longer."""
    return np.int64 if size <= MAX_INTEGER + 1 else object


def numbers(size: int, values: Iterable[int]) -> Numbers:
    """Returns numbers of architectures, or models, of a space of ``size`` as an array ``(n,)`` of
    its ``number_type``."""
    kind = number_type(size)
    if isinstance(values, np.ndarray):
        return values.astype(kind, copy=False)
    return np.array(list(values), kind)


def key_of(space: AnySpace, text: str) -> RowKey:
    """Returns the key of an architecture's or a model's text. Raises ParseError when the text is
    neither."""
    return text if is_model_text(text) else key_of_number(space.rank(space.parse(text)))


def key_of_number(number: int) -> RowKey:
    """Returns the key of an architecture's number."""
    return number if number <= MAX_INTEGER else _bytes_of(number)


def _bytes_of(number: int) -> bytes:
    return number.to_bytes(-(-number.bit_length() // 8), "big")


def number_of(key: Any) -> int:
    """Returns the number of what a key stands for. Raises TypeError for what is no key."""
    if isinstance(key, str):
        # Half of a hash's 64 bits would do; -1 is left for what is not known.
        return -2 - (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 2)
    return int.from_bytes(key, "big") if isinstance(key, bytes) else operator.index(key)


def checked_key(key: Any) -> RowKey:
    """Returns the key itself. Raises TypeError for what is none, as in a damaged file."""
    number_of(key)
    found: RowKey = key
    return found


def text_of(space: AnySpace, key: Any) -> str:
    """Returns the text of what a key stands for. Raises UsageError for a number outside the
    space."""
    return key if isinstance(key, str) else str(space.unrank(number_of(key)))


def is_sound(space: AnySpace, key: Any) -> bool:
    """Returns whether a key is one that ``key_of`` may have given."""
    if isinstance(key, str):
        return is_model_text(key)
    if isinstance(key, bytes):
        number = number_of(key)
        return MAX_INTEGER < number < space.size and _bytes_of(number) == key
    return isinstance(key, int) and 0 <= key < space.size
