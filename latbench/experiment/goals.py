"""The goal of each search of a sweep: a penalty weight or a target, on one backend or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latbench.text import JOINED
from latbench.timing.metric import Metric, parse_amount


@dataclass(frozen=True)
class Goal:
    """One search's goal.

    ``backends`` are those that it pays for, the first one leads. ``targets``, one a backend, are
    texts such as ``5ms``, or ``80%`` of a backend's reference; without any, ``weight`` is λ.
    """

    backends: tuple[str, ...]
    weight: float = 0.0
    targets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Returns a folder's name for the goal, apart from its backends."""
        if not self.targets:
            return f"weight-{self.weight:g}"
        return f"target-{self.asked}"

    @property
    def asked(self) -> str:
        """Returns the targets in the words that they were given in; empty for a weight."""
        return JOINED.join(dict.fromkeys("".join(text.split()) for text in self.targets))

    def values(self, metric: Metric, references: Sequence[float]) -> tuple[float, ...]:
        """Returns the targets in the metric's unit, one a backend; empty for a weight. Raises
        UsageError for a wrong text."""
        if not self.targets:
            return ()
        pairs = zip(self.targets, references, strict=True)
        return tuple(parse_amount(metric, text, reference) for text, reference in pairs)


def parse_front(text: str) -> tuple[str, ...]:
    """Returns the backends of ``a`` or ``a+b``."""
    return tuple(part.strip() for part in text.split(JOINED))


def make_goals(
    fronts: Sequence[tuple[str, ...]], weights: Sequence[float],
    targets: Mapping[str, Sequence[str]],
) -> list[Goal]:  # fmt: skip
    """Returns every weight for every front, and every target of its backends, each once.

    ``targets`` lists those of each backend; backends that are paid for at once go through their
    lists side by side.

    A weight of 0 pays for no backend, so it is searched once, for the first front.
    """
    made = [
        Goal(backends, weight)
        for i, backends in enumerate(fronts)
        for weight in dict.fromkeys(weights)
        if weight > 0 or i == 0
    ]
    made += [
        Goal(backends, targets=texts)
        for backends in fronts
        for texts in dict.fromkeys(zip(*(targets[name] for name in backends), strict=True))
    ]
    return list({(goal.backends, goal.name): goal for goal in made}.values())


def check_targets(metric: Metric, targets: Sequence[str]) -> None:
    """Raises UsageError for the first text that is no target."""
    for text in targets:
        parse_amount(metric, text, 1.0)
