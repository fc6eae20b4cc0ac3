"""Scores kept in a file, so that a search that is started again does not score twice.

One JSON object a line: a header that says whose scores they are, then an architecture and its score
(null for -inf). A line that a kill cut short is dropped.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from latbench.errors import ParseError, UsageError
from latbench.search.baselines.searches import Score
from latbench.spaces import AnySpace


class RememberedScore:
    """A score that is computed once an architecture and kept in ``path``.

    ``label`` names what the score depends on besides the space: the supernet's checkpoint and the
    images, say. ``computed`` counts the calls that were not answered from the file. Raises
    UsageError when the file holds scores of another space or label, ParseError when it is broken.
    """

    def __init__(self, score: Score, space: AnySpace, path: Path | str, label: str) -> None:
        self._score, self._path = score, Path(path)
        self.computed = 0
        self._known: dict[str, float] = {}
        # As JSON gives it back: a space's settings have tuples.
        header = json.loads(json.dumps({"space": space.identity(), "label": label}))
        lines = self._whole_lines()
        if not lines:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(header) + "\n", "utf-8")
            return
        if _parsed(lines[0], self._path) != header:
            raise UsageError(
                f"{self._path} holds scores of another space or label than {label!r}; name "
                "another file"
            )
        for line in lines[1:]:
            self._take(_parsed(line, self._path))

    def __call__(self, architecture: Any) -> float:
        """The score, from the file if it is there."""
        text = str(architecture)
        if text not in self._known:
            value = float(self._score(architecture))
            self.computed += 1
            entry = {"architecture": text, "score": None if value == -math.inf else value}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, allow_nan=False) + "\n")
            self._known[text] = value
        return self._known[text]

    def _whole_lines(self) -> list[str]:
        """The file's lines; a last one without its end is cut off the file."""
        if not self._path.exists():
            return []
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            self._path.write_bytes(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def _take(self, entry: Any) -> None:
        try:
            text, value = entry["architecture"], entry["score"]
            self._known[str(text)] = -math.inf if value is None else float(value)
        except (KeyError, TypeError, ValueError) as error:
            raise ParseError(f"{self._path} holds a line without a score; delete it") from error


def _parsed(line: str, path: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ParseError(f"{path} holds a line that is not JSON; delete the file") from error
