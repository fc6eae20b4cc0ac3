"""Every error that latbench raises on purpose.

    LatbenchError                what the user can mend; the command line prints it and exits with 2
    +-- UsageError               a value that was passed in is wrong
    |   +-- ParseError           a text is not an architecture, a file is not what it should be
    |   +-- SpaceMismatchError   a store or predictor belongs to another search space
    +-- BackendError             a runtime could not do what was asked
    |   +-- BackendUnavailable   it is unknown, or not installed, or has no device
    +-- StoreError               a store cannot be opened, read or written
    +-- NotEnoughData            too few measurements for what was asked

A message names the value, what was expected and what to do.
"""

from __future__ import annotations

# What reading raises where a damaged file holds something else than what is expected there: no
# JSON, no number, a key too few, an encrypted member, nesting without end.
DAMAGE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, EOFError,
)  # fmt: skip


class LatbenchError(Exception):
    """Something the user can mend. The message is one clear sentence."""


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
    """There are too few measurements for what was asked."""
