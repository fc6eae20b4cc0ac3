"""Searches that found one and the same network."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.results import SearchResult
from latbench.text import listing

ALONE = "accuracy alone"


def found_for(search: SearchResult) -> str:
    """Names whose cost a search paid for."""
    if search.plain:
        return ALONE
    return listing(list(search.together)) if search.together else search.backend


def by_network(searches: Sequence[SearchResult]) -> dict[str, list[SearchResult]]:
    """Groups the searches by the architecture that they found, in their order."""
    found: dict[str, list[SearchResult]] = {}
    for s in searches:
        found.setdefault(s.architecture, []).append(s)
    return found


def goals_by_network(searches: Sequence[SearchResult]) -> dict[str, list[str]]:
    """Returns the goals that led to each architecture, each once, in words that tell them apart."""
    several = len({found_for(s) for s in searches if not s.plain}) > 1
    return {
        architecture: list(dict.fromkeys(_named(s, several) for s in found))
        for architecture, found in by_network(searches).items()
    }


def _named(s: SearchResult, several: bool) -> str:
    return f"{s.goal} for {found_for(s)}" if several and not s.plain else s.goal


def shared_sentences(searches: Sequence[SearchResult]) -> list[str]:
    """Returns a sentence on each network that was found for several goals."""
    return [
        f"One and the same network was found for {listing(goals)}."
        for goals in goals_by_network(searches).values()
        if len(goals) > 1
    ]
