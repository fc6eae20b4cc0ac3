"""The Markdown pages as tests read them: code blocks, links, headings, and calls of latbench."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Everything that the site publishes, and README, which it does not.
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(DOCS.rglob("*.md")),
)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a language, without those that are a file."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def files_of(page: Path) -> dict[str, str]:
    """The files that a page tells its reader to save, by name."""
    found = re.findall(
        r'^```\w+ title="([^"]+)"\n(.*?)^```$', page.read_text(), re.DOTALL | re.MULTILINE
    )
    return dict(found)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """``(file, anchor)`` of every relative link outside code; an empty anchor is the page."""
    text = re.sub(r"`[^`\n]*`(?!\])", "", _FENCED.sub("", page.read_text()))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page).resolve(), anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def commands(script: str) -> Iterator[list[str]]:
    """The arguments of each call of latbench, as a shell makes them of the script."""
    spy = "latbench() { printf '%s\\037' \"$@\"; printf '\\036'; }\n"
    shell = subprocess.run(["sh", "-ec", spy + script], capture_output=True, text=True, check=True)
    for line in shell.stdout.split("\036")[:-1]:
        yield line.split("\037")[:-1]


def _script(place: Path, name: str, text: str) -> None:
    """``bin/name`` in ``place``, which passes its arguments on."""
    path = place / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{text} "$@"\n')
    path.chmod(0o755)


def follow(page: str, place: Path) -> str:
    """Saves a page's files and runs its commands in ``place``; what they print."""
    for name, text in files_of(DOCS / page).items():
        (place / name).write_text(text)
    # As if installed: the working folder is not on its path, what PYTHONPATH names is.
    path = f"#!/bin/sh\nexport PYTHONPATH={ROOT}:$PYTHONPATH"
    _script(place, "latbench", f"{path} PYTHONSAFEPATH=1\nexec {sys.executable} -m latbench")
    _script(place, "python", f"{path}\nexec {sys.executable}")
    environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200"}
    shell = subprocess.run(
        ["sh", "-ec", "\n".join(blocks(DOCS / page, "sh"))],
        cwd=place, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert shell.returncode == 0, shell.stdout + shell.stderr
    return shell.stdout
