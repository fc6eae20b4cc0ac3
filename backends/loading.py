"""The loading of a model by a backend, and the one place that tells a backend written for networks.

Until 2026-11-29 ``Backend.load`` took a network, whose weights were always the invented ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from latbench.backends.base import Backend, Session
from latbench.errors import BackendError
from latbench.models import Model
from latbench.plugins import reference_of


def refuse_networks(cls: type[Backend]) -> None:
    """Raises BackendError, saying what to change, for a backend whose ``load`` takes a network by
    its parameter's name or annotation."""
    try:
        first = list(inspect.signature(cls.load).parameters.values())[1]
    except (IndexError, TypeError, ValueError):
        return  # whatever it is, loading it will tell
    hint = first.annotation
    told = hint if isinstance(hint, str) else getattr(hint, "__name__", "")
    if first.name == "network" or told.strip("\"'").rpartition(".")[2] == "Network":
        raise BackendError(_what_to_change(cls))


def load_model(backend: Backend, model: Model) -> Session:
    """Loads a model. Raises BackendError when the runtime cannot take it, or the backend is written
    for networks: by its parameter, or because it looks for a network's attributes in the model."""
    refuse_networks(type(backend))
    try:
        return backend.load(model)
    except Exception as error:
        if any(_took_for_network(e, model) for e in _chain(error)):
            raise BackendError(_what_to_change(type(backend))) from error
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _took_for_network(error: BaseException, model: Model) -> bool:
    if not isinstance(error, AttributeError) or error.obj is not model:
        return False
    return hasattr(model.network, str(error.name))


def _what_to_change(cls: type[Backend]) -> str:
    return (
        f"backend {reference_of(cls)} is written for networks, but load() gets a model; write "
        "load(self, model: Model), with model.network where it read the network, model.onnx() or "
        "model.torch() where it exported it, and model.input() for make_input (docs/plugin.md)"
    )
