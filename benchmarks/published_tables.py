"""The published tasks and figures that ``published.py`` runs and prints, and its data."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latbench.spaces import make_space
from latbench.store.foreign import read_table

Floats = npt.NDArray[np.float64]
NEAR_ZERO = 0.01  # of the median: HELP's NAS-Bench-201 tables hold a few such entries

# Costs that are sums over operations, not timings of whole networks.
ADDITIVE = {
    "nb201": {"fpga", "eyeriss"},
    "fbnet": {"fpga", "eyeriss", "raspi4", "pixel3"},
}


@dataclass(frozen=True)
class Task:
    """Source and target devices of a space, and Spearman as published, by method.

    ``bar`` is what one default must reach: the better of NASFLAT and of two ridges on 20 samples
    (sources and counts, sources and choices), of which the better was picked after the fact.
    """

    space: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    published: dict[str, float]
    bar: float


def _task(
    space: str, sources: str, targets: str, help_: float, multi: float, nas: float, bar: float
) -> Task:  # fmt: skip
    published = {"HELP": help_, "MultiPredict": multi, "NASFLAT": nas}
    return Task(space, tuple(sources.split()), tuple(targets.split()), published, bar)


HELP_NB201 = "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 " \
    "essential_ph_1 samsung_s7"  # fmt: skip
HELP_FBNET = HELP_NB201.replace("1080ti_256", "1080ti_64")
# abdelfattah-lab/nasflat_latency: device_task_list.py and results_geomean.py.
NASFLAT = {
    "ND": _task("nb201", HELP_NB201, "titan_rtx_256 gold_6226 fpga pixel2 raspi4 eyeriss",
                0.948, 0.930, 0.959, 0.963),
    "FD": _task("fbnet", HELP_FBNET, "fpga raspi4 eyeriss", 0.910, 0.960, 0.961, 0.961),
    "FA": _task("fbnet", " ".join(
        f"{gpu}_{batch}" for gpu in ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
        for batch in (1, 32, 64)
    ), "gold_6226 essential_ph_1 samsung_s7 pixel2", 0.370, 0.450, 0.577, 0.577),
    "F1": _task("fbnet", "2080ti_1 essential_ph_1 silver_4114 titan_rtx_1 titan_rtx_32",
                "eyeriss fpga raspi4 samsung_a50 samsung_s7", 0.793, 0.756, 0.809, 0.811),
    "F2": _task("fbnet", "essential_ph_1 gold_6226 gold_6240 pixel3 raspi4",
                "1080ti_1 1080ti_32 2080ti_32 titan_rtx_1 titanxp_1", 0.543, 0.567, 0.871, 0.917),
    "F3": _task("fbnet", "essential_ph_1 pixel2 pixel3 raspi4 samsung_s7",
                "1080ti_1 1080ti_32 2080ti_1 titan_rtx_1 titan_rtx_32", 0.413, 0.434, 0.814, 0.896),
    "F4": _task("fbnet", "1080ti_64 2080ti_1 eyeriss gold_6226 gold_6240 raspi4 samsung_s7 "
                "silver_4210r titan_rtx_1 titan_rtx_32", "1080ti_1 pixel2 essential_ph_1",
                0.799, 0.763, 0.734, 0.788),
}  # fmt: skip
# HELP's README, Tables 2 and 3, by device: 10 samples and 10 reference architectures.
HELP_PUBLISHED = {
    "nb201": {"titan_rtx_256": 0.987, "gold_6226": 0.989, "pixel2": 0.802, "raspi4": 0.890,
              "eyeriss": 0.940, "fpga": 0.985},
    "fbnet": {"raspi4": 0.887, "eyeriss": 0.943, "fpga": 0.892},
}  # fmt: skip
SPACES = {"nb201": "nasbench201", "fbnet": "fbnet"}
HELP_SOURCES = {"nb201": tuple(HELP_NB201.split()), "fbnet": tuple(HELP_FBNET.split())}
HELP_POOL = {"nb201": 900, "fbnet": 4000}


@dataclass(frozen=True)
class Space:
    """HELP's tables of one space: one-hot vectors, their sums to counts, and latencies (ms)."""

    X: Floats
    counts: Floats
    latency: dict[str, Floats]
    references: npt.NDArray[np.int64]

    def usable(self, device: str) -> npt.NDArray[np.bool_]:
        """Rows whose latency is no artefact near zero."""
        y = self.latency[device]
        return np.asarray(y > NEAR_ZERO * np.median(y))


def load_space(folder: Path, name: str) -> Space:
    """One of HELP's tables (``help_nb201.npz``, ``help_fbnet.npz``), read as ``latbench import``
    reads it; its vectors and counts are those of latbench's space."""
    path, space = folder / f"help_{name}.npz", make_space(SPACES[name])
    table = read_table(path, space)
    with np.load(path, allow_pickle=False) as z:
        references = z["ref_idx"].astype(int)
    one_hot = space.one_hot_all(table.architectures).astype(float)
    counts = space.counts_matrix().astype(float)
    latency = dict(zip(table.devices, table.latency_ms, strict=True))
    return Space(one_hot, counts, latency, references)


def load_runtimes(path: Path) -> tuple[list[tuple[str, str]], Floats]:
    """Qualcomm AI Hub's timings: (device, runtime) of each column, ms ``(models, columns)``.

    A row is a component of a model in a precision; NaN where it was not timed.
    """
    with path.open(encoding="utf-8", newline="") as file:
        timed = [r for r in csv.DictReader(file) if r["ms"] and float(r["ms"]) > 0]
    rows = sorted({(r["model"], r["precision"], r["component"]) for r in timed})
    columns = sorted({(r["device"], r["runtime"]) for r in timed})
    row_of, column_of = ({k: i for i, k in enumerate(keys)} for keys in (rows, columns))
    table = np.full((len(rows), len(columns)), np.nan)
    for r in timed:
        row = row_of[r["model"], r["precision"], r["component"]]
        table[row, column_of[r["device"], r["runtime"]]] = float(r["ms"])
    return columns, table
