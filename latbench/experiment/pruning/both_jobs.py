"""The beginning and the end of every pruning of a saved model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from latbench.backends import availability_of, backend_spec
from latbench.backends.base import Backend
from latbench.errors import LatbenchError, UsageError
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model, read_model
from latbench.search.config import TrainConfig
from latbench.store import Store
from latbench.timing.metric import LATENCY, parse_amount

BOTH = "before-and-after.sqlite"
BUDGET, RESULT, PRUNED = "budget.json", "pruned.json", "model"
TRAINING = TrainConfig(epochs=12, batch=64, learning_rate=0.05, weight_decay=5e-4)


def model_to_prune(folder: str, budget: str, out: Path) -> Model:
    """Reads the model that is to be pruned.

    Args:
        folder: The folder of the model.
        budget: The budget, a time or a share of what the model takes.
        out: The folder of what pruning writes.

    Returns:
        The model.

    Raises:
        UsageError: For a model without weights, one in ``out``, and a budget that asks for nothing.
    """
    if parse_amount(LATENCY, budget, 1.0) >= 1 and budget.rstrip().endswith("%"):
        raise UsageError(f"a budget of {budget} asks for nothing; give less than 100%")
    if out.resolve() in Path(folder).resolve().parents:
        raise UsageError(
            f"the model {folder} lies in {out}, where models are written; name another folder"
        )
    model = read_model(folder)
    if model.weights is None:
        raise UsageError(f"the model of {folder} has no weights; prune one that was trained")
    return model


def kept_budget(
    budget: str, model: Model, backend: Backend, out: Path, measured: Callable[[], float]
) -> tuple[float, float]:
    """Finds what the model takes, and the most that is allowed: measured once, and kept in a file,
    since a share of another measurement were another budget.

    Args:
        budget: The budget, a time or a share of what the model takes.
        model: The model.
        backend: The backend whose latency it is.
        out: The folder that takes the file.
        measured: Measures what the model takes, in seconds.

    Returns:
        Both, in seconds.
    """
    version = availability_of(backend).version
    inputs = content_hash(str(model), backend_spec(backend), backend.device_name(), version, budget)
    if (done := reusable(out / BUDGET, inputs)) is None:
        whole = measured()
        done = {"inputs": inputs, "whole": whole, "most": parse_amount(LATENCY, budget, whole)}
        write_json(out / BUDGET, done)
    return done["whole"], done["most"]


def measured_value(store: Store, place: int, text: str) -> float:
    """Returns what an architecture or a model, by its text, was measured to take in a measurement
    set, in seconds. Raises LatbenchError where it was not."""
    value = store.value(place, text)
    if value is None:
        why = store.failures(place).get(text, "it was not timed")
        raise LatbenchError(f"{text} could not be measured: {why}")
    return value
