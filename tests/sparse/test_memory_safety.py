"""The engine under the compiler's sanitizers: no read or write out of bounds, no undefined
arithmetic, in networks of every space and in damaged files."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv, Elementwise
from latbench.networks.weights import make_weights
from latbench.sparse.compiling import FLAGS, SOURCES, compiler
from latbench.sparse.libraries import can_be_had, usable_sets
from latbench.sparse.program import program_of
from latbench.sparse.running import GROUPS
from latbench.testing.networks import default_networks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C example, with the engine in it."""
    found = tmp_path_factory.mktemp("sanitized") / "example"
    command = compiler()
    assert command is not None
    done = subprocess.run(
        [*command, "-std=c++17", "-O1", "-g", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", *FLAGS[usable_sets()[0]], "-pthread",
         str(SOURCES / "engine.cpp"), "-x", "c", str(SOURCES / "example.c"), "-o", str(found)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"the compiler has no sanitizers: {done.stderr[:200]}")
    return found


def image_residual(channels: int) -> Network:
    """A network that adds its input to what it made of it."""
    b = NetworkBuilder((1, channels, 2, 60))
    return b.build(b.add(Elementwise("add"), b.add(Conv(channels, 1), b.input), b.input))


def files() -> list[bytes]:
    """Networks as the engine reads them, in every group."""
    networks = [n for _, n in default_networks()] + [image_residual(c) for c in (1, 3, 5, 17)]
    programs = [program_of(n, make_weights(n)) for n in networks]
    return [p.to_bytes(group) for p in programs for group in GROUPS]


def run(program: Path, file: Path) -> int:
    """The code that it ends with; fails where a sanitizer ended it."""
    done = subprocess.run([program, file], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 2), done.stderr[-3000:]
    return done.returncode


def test_networks_of_every_space_are_run(program: Path, tmp_path: Path) -> None:
    for content in files():
        (tmp_path / "network").write_bytes(content)
        assert run(program, tmp_path / "network") == 0


def test_damaged_files_are_refused_or_run(program: Path, tmp_path: Path) -> None:
    stream, codes = random.Random(0), set()
    small = sorted(files(), key=len)[:12]
    for _ in range(200):
        content = bytearray(stream.choice(small))
        for _ in range(stream.randint(1, 3)):
            end = stream.random() < 0.1
            at = (
                stream.randrange(len(content)) if end else stream.randrange(min(len(content), 4000))
            )
            content[at] = stream.choice([0, 1, 2, 127, 128, 255, stream.randrange(256)])
        (tmp_path / "network").write_bytes(content)
        codes.add(run(program, tmp_path / "network"))
    assert codes == {0, 2}
