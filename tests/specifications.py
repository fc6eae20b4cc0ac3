"""Charts as tests read them: ``from specifications import Specification``."""

from __future__ import annotations

from typing import Any

import altair as alt


class Specification:
    """A chart's specification, which Altair finds valid."""

    def __init__(self, chart: alt.TopLevelMixin | None) -> None:
        assert chart is not None
        self.spec: dict[str, Any] = chart.to_dict()
        self.description: str = self.spec["description"].replace("\u00a0", " ")

    def layers(self, kind: str) -> list[dict[str, Any]]:
        """The layers with a kind of mark."""
        return [layer for layer in self.spec["layer"] if layer["mark"]["type"] == kind]

    def rows(self, kind: str, at: int = 0) -> list[dict[str, Any]]:
        """The data of a layer."""
        data = self.layers(kind)[at].get("data") or self.spec["data"]
        return list(self.spec["datasets"][data["name"]])

    def axis(self, channel: str) -> dict[str, Any]:
        """How the first layer shows x or y."""
        encoding = self.spec["layer"][0]["encoding"][channel]
        assert isinstance(encoding, dict)
        return encoding

    def references(self, field: str) -> dict[float, str]:
        """Where the dashed lines across an axis are, and what stands at them."""
        found = {
            row[field]: row["text"]
            for i, layer in enumerate(self.layers("rule"))
            if "strokeDash" in layer["mark"]
            for row in self.rows("rule", i)
        }
        return {at: text.replace("\u00a0", " ") for at, text in found.items()}

    def told(self, kind: str) -> list[str]:
        """The titles of what a mark says when it is pointed at."""
        (layer,) = self.layers(kind)
        encoding = layer["encoding"]
        assert layer["mark"].get("tooltip") or "tooltip" in encoding
        shown = encoding.get("tooltip") or [
            e for c in ("x", "y", "color", "detail") for e in _listed(encoding.get(c))
        ]
        return [e["title"] for e in shown]


def _listed(encoding: Any) -> list[dict[str, Any]]:
    return encoding if isinstance(encoding, list) else [encoding] if encoding else []
