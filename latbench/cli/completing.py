"""The names that the shell offers after a tab, known without asking a runtime or a store.

Each function takes what was typed so far. They import nothing heavy, so that a tab does not have to
wait.
"""

from __future__ import annotations

from collections.abc import Iterable


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def backends(incomplete: str) -> list[str]:
    """Returns the backends, built in and of others, that begin so."""
    from latbench.backends import backend_names

    return _starting(incomplete, backend_names())


def spaces(incomplete: str) -> list[str]:
    """Returns the search spaces that begin so."""
    from latbench.spaces import space_names

    return _starting(incomplete, space_names())


def networks(incomplete: str) -> list[str]:
    """Returns the published networks that begin so."""
    from latbench.zoo.published_networks import network_names

    return _starting(incomplete, network_names())


def predictors(incomplete: str) -> list[str]:
    """Returns the predictors that can be fitted here and begin so."""
    from latbench.predictors import predictor_names

    return _starting(incomplete, predictor_names())


def metrics(incomplete: str) -> list[str]:
    """Returns the metrics that begin so."""
    from latbench.timing.metric import METRICS

    return _starting(incomplete, METRICS)


def methods(incomplete: str) -> list[str]:
    """Returns the search methods, built in and of others, that begin so."""
    from latbench.search.methods import method_names

    return _starting(incomplete, method_names())
