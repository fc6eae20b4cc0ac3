"""What mkdocs needs to know about this repository.

The docs are written for two readers: GitHub, where a link is a path in the repository, and the
site, where it is a page. Links are kept as GitHub wants them; here they become the site's. Pages
that lie outside of ``docs/`` are published too, and ``command-line.md`` gets every command's text.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Path in the repository -> page of the site.
PUBLISHED = {
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_ORIGIN = {page: path for path, page in PUBLISHED.items()}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_COMMANDS = "<!-- the site has every command here -->"


def on_files(files: Files, config: Any) -> Files:
    """Publishes the pages that lie elsewhere."""
    for path, page in PUBLISHED.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """The page with links of the site; what the site has not is named, not linked."""
    here = page.file.src_uri
    source = posixpath.dirname(_ORIGIN.get(here, f"docs/{here}"))

    def link(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(source, target))
        if path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif path in PUBLISHED:
            path = PUBLISHED[path]
        else:
            return text
        return f"{mark}[{text}]({posixpath.relpath(path, posixpath.dirname(here))}{anchor or ''})"

    text = _LINK.sub(link, markdown)
    return text.replace(_COMMANDS, _commands()) if _COMMANDS in text else text


def _commands() -> str:
    """Every command with its options, as Typer writes them, without its title."""
    typer = [sys.executable, "-m", "typer", "latbench.cli.app", "utils", "docs"]
    text = subprocess.run(
        [*typer, "--name", "latbench"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return text.partition("\n")[2]
