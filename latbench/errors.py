"""The errors that latbench raises on purpose.

    LatbenchError                what the user can mend; the command line prints it and exits with 2
    +-- UsageError               a value that was passed in is wrong
    |   +-- ParseError           a text is not an architecture, a file is not what it should be
    |   +-- SpaceMismatchError   a store or predictor belongs to another search space
    +-- BackendError             a runtime could not do what was asked
    |   +-- BackendUnavailable   it is unknown, or not installed, or has no device
    +-- StoreError               a store cannot be opened, read or written
    +-- NotEnoughData            too few measurements for what was asked

A message names the value, what was expected and what to do; ``quoted`` and ``unknown`` help it to.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What reading raises where a damaged file holds something else than what is expected there: no
# JSON, no number, a key too few, an encrypted member, nesting without end.
DAMAGE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, EOFError,
)  # fmt: skip
MOST_QUOTED = 160  # characters; a NAS-Bench-201 cell has up to 95


def quoted(text: str) -> str:
    """Returns ``repr(text)``; a long text is cut in its middle, so that both ends tell what it
    is."""
    if len(text) > MOST_QUOTED:
        text = f"{text[: MOST_QUOTED // 2]}…{text[-MOST_QUOTED // 2 :]}"
    return repr(text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns the text between a wrong name and the list of right ones.

    It is ``";"``, or a question that names the right ones that begin with the wrong one or else the
    nearest one.
    """
    names = list(known)
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    near = begun or difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {' or '.join(map(repr, near[:3]))}?" if near else ";"


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Returns the sentence for a name that is not known.

    >>> unknown("predictor", "mpl", ("mlp", "gnn"))
    "unknown predictor 'mpl'; did you mean 'mlp'? expected one of mlp, gnn"
    """
    names = list(known)
    near = did_you_mean(word, names)
    return f"unknown {kind} {quoted(word)}{near} expected one of {', '.join(names)}"


class LatbenchError(Exception):
    """An error that the user can mend. The message is one clear sentence."""


class UsageError(LatbenchError, ValueError):
    """A value that was passed in is wrong."""


class ParseError(UsageError):
    """A text is not an architecture of the space, or a file is not what it should be."""


class SpaceMismatchError(UsageError):
    """A store or a predictor belongs to another search space."""


class BackendError(LatbenchError, RuntimeError):
    """A runtime could not do what was asked of it."""


class BackendUnavailable(BackendError):
    """A backend is unknown, not installed, or has no device on this machine."""


class StoreError(LatbenchError, RuntimeError):
    """A measurement store cannot be opened, read or written."""


class NotEnoughData(LatbenchError, ValueError):
    """An error for too few measurements for what was asked."""


def in_words(error: Exception) -> str:
    """Returns an error's message, cut, with its class where that is none of latbench's."""
    own = isinstance(error, LatbenchError)
    return (str(error) if own else f"{type(error).__name__}: {error}")[:200]
