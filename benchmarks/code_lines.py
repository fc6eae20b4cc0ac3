"""How long the code is: lines of Python outside tests, without docstrings, comments and blank ones.

python benchmarks/code_lines.py                 # by folder
python benchmarks/code_lines.py --against REV   # beside those of another commit
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("latbench", "backends", "predictors", "search")
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
            tokenize.ENCODING, tokenize.ENDMARKER}  # fmt: skip


def code_lines(source: str) -> int:
    """Returns how many lines of a module's text hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and ast.get_docstring(node) is not None:
                lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def counted(sources: dict[str, str]) -> Counter[str]:
    """Returns the code lines of files, given by path and text, by folder."""
    found: Counter[str] = Counter()
    for path, text in sources.items():
        parts = Path(path).parts
        folder = "/".join(parts[: 2 if parts[0] == "latbench" and len(parts) > 2 else 1])
        found[folder] += code_lines(text)
    return found


def here() -> dict[str, str]:
    """Returns the library's files as they are, by path."""
    listed = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")]
    paths = [p.relative_to(ROOT) for p in listed]
    own = [p for p in paths if p.parts[0] != "latbench" or p.parts[1] not in FOLDERS[1:]]
    return {str(p): (ROOT / p).read_text("utf-8") for p in own}


def at(revision: str) -> dict[str, str]:
    """Returns the library's files of a commit, by path."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout

    paths = git("ls-tree", "-r", "--name-only", revision, *FOLDERS).split()
    return {p: git("show", f"{revision}:{p}") for p in paths if p.endswith(".py")}


def main() -> None:
    """Prints the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--against", metavar="REV", help="a commit to compare with")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts as JSON")
    arguments = parser.parse_args()
    now = counted(here())
    then = counted(at(arguments.against)) if arguments.against else Counter[str]()
    table = Table("folder", "lines of code", *(["before", "change"] if then else []))
    for folder in sorted({*now, *then}):
        before = [str(then[folder]), f"{now[folder] - then[folder]:+d}"] if then else []
        table.add_row(folder, str(now[folder]), *before)
    total = [str(then.total()), f"{now.total() - then.total():+d}"] if then else []
    table.add_row("all", str(now.total()), *total, style="bold")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"now": now, "before": then}, indent=1) + "\n")


if __name__ == "__main__":
    main()
