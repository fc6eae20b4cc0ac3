"""NAS-Bench-201's full table for ``search_nb201.py``: accuracies, latencies, fronts, plot."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from published_tables import Floats, load_space
from sklearn.model_selection import cross_val_predict

from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.spaces import nasbench201
from latbench.spaces.architecture import Architecture
from latbench.store.dataset import LatencyDataset

Rows = npt.NDArray[np.int64]
SPACE = nasbench201()
QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)
ACCURACIES = "nb201_accuracy_200ep.csv"


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class Device:
    """A device's measured latencies (s) of all rows, the model's predictions, and the limits.

    ``margin`` is the model's mean relative error in a cross-validation of its own samples.
    ``usable`` leaves out near-zero entries, which no limit, search result or front may use.
    """

    name: str
    latency: Floats
    usable: npt.NDArray[np.bool_]
    model: LatencyModel
    predicted: Floats
    margin: float
    limits: tuple[float, ...]

    def fits(self, row: int, limit: float) -> bool:
        """Whether a measurement of the row is within the limit."""
        return bool(self.usable[row] and self.latency[row] <= limit)


@dataclass(frozen=True)
class Table:
    """All cells, their row by value, and test accuracies at 200 epochs (%), the mean of the runs.

    ``cifar10`` judges; no searcher reads it. ``cifar100`` is what a bought training tells.
    """

    cells: tuple[Architecture, ...]
    row: dict[Architecture, int]
    cifar10: Floats
    cifar100: Floats

    def rows(self, cells: Sequence[Any]) -> list[int]:
        """Row numbers of cells."""
        return [self.row[cell] for cell in cells]


def load_table(folder: Path) -> Table:
    """The accuracies; rows are in the benchmark's own order, as in HELP's latencies."""
    with (folder / ACCURACIES).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = tuple(SPACE.parse(r["ArchitectureString"]) for r in rows)
    accuracy = {
        name: np.array([float(r[f"{name}TestAccuracy200Epochs"]) for r in rows])
        for name in ("CIFAR10", "CIFAR100")
    }
    row = {cell: i for i, cell in enumerate(cells)}
    return Table(cells, row, accuracy["CIFAR10"], accuracy["CIFAR100"])


def load_device(folder: Path, table: Table, name: str, samples: int, predictor: str) -> Device:
    """A device with a predictor that was fitted on ``samples`` random usable rows of it."""
    space = load_space(folder, "nb201")
    latency, usable = space.latency[name] / 1000, space.usable(name)
    chosen = np.random.default_rng(0).choice(np.flatnonzero(usable), samples, replace=False)
    dataset = LatencyDataset(
        SPACE, tuple(table.cells[i] for i in chosen), latency[chosen], backend="help", device=name
    )
    model = LatencyModel.fit(dataset, make_predictor(predictor))
    left_out = cross_val_predict(
        make_predictor(predictor), dataset.encode(model.card.encoding), dataset.values
    )
    margin = float(np.abs(left_out / dataset.values - 1).mean())
    limits = tuple(float(q) for q in np.quantile(latency[usable], QUANTILES))
    return Device(name, latency, usable, model, model.predict(table.cells), margin, limits)


def best_under(table: Table, device: Device, limit: float) -> int:
    """The row of the most accurate cell that is measured within the limit."""
    allowed = device.usable & (device.latency <= limit)
    return int(np.argmax(np.where(allowed, table.cifar10, -np.inf)))


def front(latency: Floats, accuracy: Floats) -> Rows:
    """Positions that no other dominates, by rising latency and accuracy."""
    order = np.lexsort((-accuracy, latency))
    best = np.maximum.accumulate(accuracy[order])
    rises = np.concatenate([[True], best[1:] > best[:-1]])
    return np.asarray(order[rises])


def hypervolume(latency: Floats, accuracy: Floats, limit: float, floor: float) -> float:
    """The area (s x %) that points dominate, left of ``limit`` and above ``floor``."""
    good = (latency <= limit) & (accuracy > floor)
    latency, accuracy = latency[good], accuracy[good]
    if not len(latency):
        return 0.0
    on = front(latency, accuracy)
    steps = np.diff(np.append(latency[on], limit))
    return float(((accuracy[on] - floor) * steps).sum())


def draw(path: Path, table: Table, devices: Sequence[Device],
         found: dict[str, dict[str, list[int]]]) -> None:  # fmt: skip
    """The true front of each device, and what each searcher found: ``found[searcher][device]``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(devices), figsize=(6 * len(devices), 5), squeeze=False)
    for axis, device in zip(axes[0], devices, strict=True):
        rows = np.flatnonzero(device.usable)
        on = rows[front(device.latency[rows], table.cifar10[rows])]
        axis.scatter(1e3 * device.latency[rows], table.cifar10[rows], s=1, color="0.85")
        axis.step(1e3 * device.latency[on], table.cifar10[on], where="post", color="black",
                  label="true front")  # fmt: skip
        for i, (searcher, by_device) in enumerate(found.items()):
            at, style = by_device[device.name], {"color": f"C{i % 10}", "marker": "osv^D<>P"[i % 8]}
            axis.scatter(1e3 * device.latency[at], table.cifar10[at], s=30, alpha=0.7,
                         label=searcher, **style)  # fmt: skip
        for limit in device.limits:
            axis.axvline(1e3 * limit, color="0.7", lw=0.5)
        axis.set(title=device.name, xlabel="measured latency, ms", ylabel="CIFAR-10 test, %",
                 ylim=(84, 95), xlim=(0, 1.3e3 * device.limits[-1]))  # fmt: skip
    axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
