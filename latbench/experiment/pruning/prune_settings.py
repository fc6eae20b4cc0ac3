"""The settings of pruning a model to budgets, and which of them are for which method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from latbench.backends.base import Backend
from latbench.errors import UsageError
from latbench.search.config import TrainConfig
from latbench.timing.metric import LATENCY, parse_amount
from latbench.timing.protocol import Protocol
from latbench.validation import Count, Natural, Share, check_fields

Method = Literal["channels", "magnitude", "admm"]
METHODS: tuple[Method, ...] = ("channels", "magnitude", "admm")
OF_GROUPS = METHODS[1:]
# What is for channels alone, and for groups of weights alone, with the defaults.
FOR_CHANNELS = {"networks": 100, "predictor": "ridge-layers", "step": 8, "least": 12}
FOR_GROUPS = {"distillation": 0.0, "tables": ""}
TRAINING = TrainConfig(epochs=12, batch=64, learning_rate=0.05, weight_decay=5e-4)


@dataclass(frozen=True)
class PruneJob:
    """A model to be pruned, and to what.

    It has the folder of the ``model``, the ``budgets`` (``5ms``, or ``50%`` of what the model
    takes), the ``data``, of whose training images ``limit`` are taken (0: all), the ``method``
    (None: channels, on ``simd-sparse`` magnitude) with its number of ``rounds``, from how many
    ``seeds`` each budget is pruned, and the settings of ``training`` what is left.

    For channels alone are how many ``networks`` of other widths are measured for the ``predictor``,
    and the widths (``step``, ``least``, see ``WidthsConfig``); for groups of weights alone the
    share of the loss that the model itself teaches (``distillation``), and the store whose latency
    ``tables`` are taken, where it has that of the network, and which else takes it (none: the one
    of the results' folder). None is the default of each.
    """

    model: str
    budgets: tuple[str, ...]
    data: str = "digits"
    limit: Natural = 0
    method: Method | None = None
    rounds: Count = 3
    seeds: Count = 1
    networks: Count | None = None
    predictor: str | None = None
    step: Count | None = None
    least: Annotated[int, Ge(1), Le(100)] | None = None
    distillation: Share | None = None
    tables: str | None = None
    protocol: Protocol = field(default_factory=Protocol)
    training: TrainConfig = field(default_factory=lambda: TRAINING)

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "budgets", checked_budgets(self.budgets))

    def setting(self, name: str) -> Any:
        """Returns a setting that is for one kind of methods alone, or its default."""
        given = getattr(self, name)
        return (FOR_CHANNELS | FOR_GROUPS)[name] if given is None else given

    def chosen(self, backend: Backend) -> Method:
        """Returns the method on a backend. Raises UsageError for one that makes nothing faster
        there, and for settings that are not for it."""
        method = method_on(self.method, backend.name)
        check_given(vars(self), method)
        return method


def checked_budgets(budgets: tuple[str, ...]) -> tuple[str, ...]:
    """Returns budgets without spaces, each once: they are names of folders, too.

    Raises UsageError for none, for one that is no latency, and for one that asks for nothing.
    """
    if not budgets:
        raise UsageError("there is no budget; give at least one, as 5ms or 50%")
    for text in budgets:
        if parse_amount(LATENCY, text, 1.0) >= 1 and text.rstrip().endswith("%"):
            raise UsageError(f"a budget of {text} asks for nothing; give less than 100%")
    return tuple(dict.fromkeys("".join(text.split()) for text in budgets))


def method_on(method: str | None, backend: str) -> Method:
    """Returns the method that prunes for a backend, of the name that was given or its own.

    Raises UsageError for a name that is none, and for groups of weights where they make nothing
    faster.
    """
    from latbench.backends.simd_sparse import SimdSparse

    skips = backend == SimdSparse.name
    if method is None:
        return "magnitude" if skips else "channels"
    for known in METHODS:
        if method == known:
            if known in OF_GROUPS and not skips:
                raise UsageError(
                    f"{method} prunes groups of weights, which make nothing faster on {backend}; "
                    f"take the backend {SimdSparse.name}, or the method channels"
                )
            return known
    raise UsageError(f"the method is {method!r}; take channels, magnitude or admm")


def check_given(
    given: Mapping[str, Any], method: Method, called: Callable[[str], str] = str
) -> None:
    """Raises UsageError for the first setting that was given (is not None) and is not for the
    method; ``called`` says what the user knows a setting by."""
    others = FOR_GROUPS if method == "channels" else FOR_CHANNELS
    kind = "channels" if method in OF_GROUPS else "groups of weights"
    for name in others:
        if given.get(name) is not None:
            raise UsageError(f"{called(name)} is for {kind}; leave it out with {method}")
