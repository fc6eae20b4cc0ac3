"""Pages of the report as tests read them: ``from pages import sound``."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

VOID = {"meta", "input", "wbr", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """Collects what the tests ask about; an unbalanced tag is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.problems: list[str] = []
        self.feed(html)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if len(dict(attrs)) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def embedded(self) -> dict[str, Any]:
        """The charts of the page, their tables and texts; empty without any."""
        found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', self.html)
        value: dict[str, Any] = json.loads(found[1]) if found else {}
        return value

    @property
    def descriptions(self) -> list[str]:
        """What a screen reader says of each chart."""
        return [chart["description"] for chart in self.embedded.get("charts", ())]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def sound(html: str) -> Page:
    """The parsed page, after the checks that every page must pass."""
    page = Page(html)
    assert page.problems == []
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(name) is None or attributes[name] in ids
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids
        assert not [name for name in attributes if name.startswith("on")]
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#")
    # The library that draws charts names addresses (of XML's name spaces) and functions.
    own = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    assert not re.search(r"https?:|@import|url\(", own)
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"<style>.*?</style>", "", own, flags=re.S))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for svg in page.all("svg"):
        nested_or_hidden = "x" in svg or svg.get("aria-hidden")
        assert nested_or_hidden or (svg["role"] == "img" and svg["aria-label"])
    assert len(page.descriptions) == sum("data-chart" in a for _, a in page.tags)
    assert all(page.descriptions)
    return page
