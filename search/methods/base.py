"""The definition of a search method: what it does its own way, with its settings.

A whole method of one's own:

    @dataclass(frozen=True)
    class Mine(Method):
        name: ClassVar[str] = "mine"
        draws: Count = 2                           # a setting, with its default

        def relaxation(self, space, generator):    # how choices become weights of a supernet
            return MyRelaxation(space, generator, self.draws)

See docs/own-method.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from latbench.errors import UsageError
from latbench.plugins import registry
from latbench.search.method_text import write_method
from latbench.spaces.supernet import resolution_of
from latbench.validation import check_fields

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.search.config import SearchConfig
    from latbench.search.penalty import LatencyPenalty
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class Method(ABC):
    """A search method: a frozen dataclass whose fields are its settings, each with a default.

    A setting is a number, a text, true or false, or None; its annotation says what is allowed
    (``latbench.validation.Count``, ``Positive``, ...), and ``UsageError`` is raised for other
    values. What all methods share is in ``SearchConfig``. ``str(method)`` is its text with all
    settings, for which ``latbench.search.methods.parse_method`` gives an equal one.

    ``order`` says what is trained. 1: the weights, and architecture parameters at the weights as
    they are; 2: these at the weights one step ahead (``latbench.search.second_order``); 0: the
    weights alone, by the paths that the relaxation draws, after which ``choose`` finds an
    architecture.

    ``presets`` are published settings by (space, data set): those of ``SearchConfig`` by name, the
    method's own in a table ``"method"`` where they are not the defaults.
    """

    name: ClassVar[str]
    order: ClassVar[Literal[0, 1, 2]] = 1
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType({})

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(field.default) is float and type(value) is int:
                object.__setattr__(self, field.name, float(value))  # one text for one value
        check_fields(self, f"the method {self.name}'s ")

    @abstractmethod
    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation over the variables of a space; the generator draws its first
        parameters."""

    def check(self, space: AnySpace, config: SearchConfig) -> None:  # noqa: B027 (may be left out)
        """Raises UsageError when the method cannot search the space, or not with these settings.

        It is asked before anything is made or written.
        """

    def check_penalty(self, space: AnySpace, penalty: LatencyPenalty) -> None:  # noqa: B027
        """Raises UsageError when the method cannot search the space by what is paid for."""

    @property
    def fixed_paths(self) -> int:
        """Returns of how many fixed paths, each by a batch of its own, the validation accuracy of
        an epoch is the mean, where the weights alone are trained; 0 for other paths in every epoch,
        as many as 1,000 images have batches."""
        return 0

    def fixed_from(
        self, trained: TrainedSupernet, epochs: int, accuracies: Sequence[float]
    ) -> Sequence[int] | None:
        """Returns at which options variables are fixed from now on, one number a variable and -1
        for free ones; None, as most methods have it, to leave it as it was.

        Asked before every epoch of a method whose relaxation can fix variables.

        Args:
            trained: The supernet as the epochs before left it.
            epochs: The most epochs that the search has.
            accuracies: The validation accuracies of the epochs before.

        Returns:
            The options.
        """
        return None

    def ends(self, space: AnySpace, epochs: int, accuracies: Sequence[float]) -> bool:
        """Returns whether a search of ``epochs`` at most ends with those whose validation
        accuracies are given: with the last one, as most methods have it."""
        return len(accuracies) >= epochs

    def choose(self, trained: TrainedSupernet) -> Any:
        """Returns the architecture that a method of order 0 finds with a trained supernet.

        ``trained.evolved`` does what the built-in one does.
        """
        raise UsageError(
            f"the method {self.name!r} trains the weights alone and does not say what it chooses; "
            "give its class choose(trained), or an order of 1"
        )

    def __str__(self) -> str:
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return write_method(registry("method").name_of(type(self)), settings)


def check_one_resolution(
    method: Method, space: AnySpace, why: str = "it mixes several options",
    instead: str = "'dmasking', 'gdas' or 'single-path'",
) -> None:  # fmt: skip
    """Checks that a method which runs several options in one pass is not to do so with images of
    two sizes.

    Args:
        method: The method.
        space: The space.
        why: What the method does, for the message.
        instead: What to take instead.

    Raises:
        UsageError: For a space whose resolution is a variable.
    """
    if resolution_of(space.supernet(), space.name) is not None:
        raise UsageError(
            f"the method {method.name!r} cannot search the space {space.name!r}: {why}, but "
            f"a resolution is not mixed by it; take {instead}"
        )
