"""The beginning and the end of every pruning of a saved model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from latbench.backends import availability_of, backend_spec
from latbench.backends.base import Backend
from latbench.errors import LatbenchError, UsageError
from latbench.experiment.verification import Conditions, time_found
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model, read_model, save_model
from latbench.progress import ProgressBars
from latbench.search.config import TrainConfig
from latbench.spaces import SPACES, make_space
from latbench.store import Store

DENSE, PRUNED, RESULT = "dense", "model", "pruned.json"
WHOLE, WHOLE_STORE = "whole.json", "whole.sqlite"


@dataclass(frozen=True)
class Left:
    """The model that pruning left, what its latency was predicted to be, in seconds, its accuracy,
    its ``widths`` (see ``PrunedResult``) and parameters, and the rounds as plain values."""

    model: Model
    predicted: float
    accuracy: float
    widths: dict[str, int]
    parameters: int
    rounds: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class OneRun:
    """One pruning: the ``most`` that is allowed, in seconds, of what takes ``whole`` seconds, the
    folder that takes its files, the settings of training, and what is told the epochs that are
    done, of how many, with a note."""

    whole: float
    most: float
    folder: Path
    training: TrainConfig
    report: Callable[[int, int, str], None]


class Way(Protocol):
    """A protocol for what is pruned: channels, or groups of weights."""

    def prepare(self) -> None:
        """Measures what all budgets need."""

    def check(self, whole: float, most: float) -> None:
        """Raises UsageError for a budget that cannot be kept."""

    def prune(self, run: OneRun) -> Left:
        """Prunes to one budget; called again, it goes on where it stopped."""

    def save(self, model: Model, folder: Path) -> None:
        """Saves a pruned model."""

    def widths_before(self) -> dict[str, int]:
        """Returns how many channels, or groups, each layer has before pruning."""


def model_to_prune(folder: str, out: Path) -> Model:
    """Reads the model that is to be pruned, whose files will be in ``out``.

    Of one that came from an ONNX file, its layers and weights are taken, and not the file: that
    would be timed as it is, beside layers of what is left.

    Raises UsageError for a model without weights, for one in ``out``, and where another network was
    pruned there.
    """
    if out.resolve() in Path(folder).resolve().parents:
        raise UsageError(
            f"the model {folder} lies in {out}, where models are written; name another folder"
        )
    model = dataclasses.replace(read_model(folder), source=None, given={})
    if model.weights is None:
        raise UsageError(f"the model of {folder} has no weights; prune one that was trained")
    if (out / DENSE).is_dir():
        known = read_model(out / DENSE)
        if known.network != model.network:
            raise UsageError(
                f"{out} is of another network, that of {known}; name another folder for {model}"
            )
    return model


def keep_dense(model: Model, out: Path) -> None:
    """Saves the model before pruning beside what comes of it, so that its stores can be read
    without the folder that it came from."""
    if not (out / DENSE).is_dir() or read_model(out / DENSE, own=True) != model:
        save_model(model, out / DENSE)


def whole_latency(
    model: Model, backend: Backend, out: Path, measured: Callable[[], float]
) -> float:  # fmt: skip
    """Finds what the model takes: measured once, and kept in a file, since a share of another
    measurement were another budget.

    Args:
        model: The model.
        backend: The backend whose latency it is.
        out: The folder that takes the file.
        measured: Measures what the model takes, in seconds.

    Returns:
        The latency in seconds.
    """
    version = availability_of(backend).version
    inputs = content_hash(str(model), backend_spec(backend), backend.device_name(), version)
    if (done := reusable(out / WHOLE, inputs)) is None:
        done = {"inputs": inputs, "whole": measured()}
        write_json(out / WHOLE, done)
    return float(done["whole"])


@dataclass(frozen=True)
class ModelTimer:
    """A timer of models, side by side in one campaign; the stores have what was timed already."""

    conditions: Conditions
    bars: ProgressBars

    def __call__(self, path: Path, *models: Model) -> list[tuple[float, float | None]]:
        """Returns what models take, in seconds, each with its noise (``Store.noise``).

        Raises LatbenchError for one that could not be measured.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with Store(path, make_space(SPACES[0])) as store:  # any: it holds models alone
            place = time_found(store, self.conditions, (), self.bars, models)
            return [
                (_value(store, place, str(one)), store.noise(place, str(one))) for one in models
            ]

    def beside(self, model: Model, candidate: Model, folder: Path, whole: float) -> float:
        """Measures what a candidate takes, by its ratio to the model in one campaign: the machine
        may be slower than when the budget was set.

        Args:
            model: The model before pruning.
            candidate: What may be left of it.
            folder: The folder that takes the store.
            whole: What the model took when the budget was set, in seconds.

        Returns:
            The latency in seconds.
        """
        path = folder / f"candidate-{candidate.digest}.sqlite"
        (before, _), (after, _) = self(path, model, candidate)
        return whole * after / before


def _value(store: Store, place: int, text: str) -> float:
    value = store.value(place, text)
    if value is None:
        why = store.failures(place).get(text, "it was not timed")
        raise LatbenchError(f"{text} could not be measured: {why}")
    return value
