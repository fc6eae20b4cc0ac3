"""Damage to valid inputs, for the tests that read what a stranger sends: ``from mutations import``.

Arbitrary bytes are refused at the first check. A valid input with a few changes gets past it, and
to whatever trusts the rest.
"""

from __future__ import annotations

import faulthandler
import os
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from latbench.errors import LatbenchError

CASES = int(os.environ.get("LATBENCH_FUZZ_CASES", "10000"))
# A case that takes longer hangs: the process is ended and says where it was.
HANG_S = 60.0
# Beyond the input's size: what parsers and messages take.
SLACK_BYTES = 64 * 2**20

fuzzing = settings(
    max_examples=CASES, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

_NUMBERS = (b"0", b"-1", b"1e999", b"99999999999999999999", b"NaN", b"null", b"[]", b'"', b"{}")
_WORDS = (b"\xff" * 8, b"\x00" * 8, b"\x7f\xff\xff\xff", (2**63 - 1).to_bytes(8, "little"))


class Damaged(bytes):
    """Bytes of which a failing case prints only so many that it can be read."""

    def __repr__(self) -> str:
        return f"<{len(self):,} bytes, {bytes(self[:100])!r}...>"


@st.composite
def damaged(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """One of some valid inputs after one to five changes."""
    data = bytearray(draw(st.sampled_from(list(valid))))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        match draw(st.integers(0, 6)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at:end]
            case 2:
                del data[at:]
            case 3:
                data[at:at] = data[at:end] * draw(st.integers(1, 4))
            case 4:
                data[at:at] = draw(st.binary(max_size=12))
            case 5:
                data[at : at + 1] = draw(st.sampled_from(_NUMBERS))
            case _:
                word = draw(st.sampled_from(_WORDS))
                data[at : at + len(word)] = word
    return Damaged(data)


def damaged_text(valid: Sequence[str]) -> st.SearchStrategy[str]:
    """The same for texts."""
    inputs = damaged([text.encode() for text in valid])
    return st.one_of(inputs.map(lambda data: data.decode("utf-8", "replace")), st.text())


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Fails when what runs allocates more than an input of ``size`` bytes justifies, or hangs."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        faulthandler.cancel_dump_traceback_later()
    assert peak <= SLACK_BYTES + 20 * size, f"{peak:,} bytes for an input of {size:,}"


def read_or_refuse(size: int, read: Callable[[], Any]) -> bool:
    """Whether it is read; when not, one clear message is all that happens."""
    with bounded(size):
        try:
            read()
        except LatbenchError as error:
            message = str(error)
            assert 10 < len(message) < 2000
            return False
    return True


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
