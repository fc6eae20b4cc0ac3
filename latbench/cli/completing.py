"""What the shell offers after a tab: names that are known without asking a runtime or a store.

Each takes what was typed so far. They import nothing heavy, so that a tab does not have to wait.
"""

from __future__ import annotations

from collections.abc import Iterable


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def backends(incomplete: str) -> list[str]:
    """Backends, built in and of others."""
    from latbench.backends import backend_names

    return _starting(incomplete, backend_names())


def spaces(incomplete: str) -> list[str]:
    """Search spaces."""
    from latbench.spaces import space_names

    return _starting(incomplete, space_names())


def predictors(incomplete: str) -> list[str]:
    """Predictors that can be fitted here."""
    from latbench.predictors import predictor_names

    return _starting(incomplete, predictor_names())


def metrics(incomplete: str) -> list[str]:
    """Metrics."""
    from latbench.metric import METRICS

    return _starting(incomplete, METRICS)


def methods(incomplete: str) -> list[str]:
    """Search methods."""
    import typing

    from latbench.search.config import Method

    return _starting(incomplete, typing.get_args(Method))
