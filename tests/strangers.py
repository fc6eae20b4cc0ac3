"""The files of a stranger, who used a module of their own: it can be imported, and leaves a mark
when it is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from experiment_file import FAKE
from made_pruned import made
from stored import make_set, row

from latbench.experiment import result_files as results
from latbench.files import write_json
from latbench.models import Model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.plugins import registry
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.results import PredictorResult, SearchEpoch, SearchResult, Stated
from latbench.spaces import AnySpace, make_space, nasbench201
from latbench.spaces.internal.isolated import IsolatedConfig, IsolatedLayers
from latbench.store import Store
from latbench.store.parquet import export_parquet

MODULE = """
from dataclasses import dataclass
from pathlib import Path
from latbench.networks.ops import Op
from latbench.predictors.families.ridge import RidgeCounts
from latbench.spaces.cells.nasbench201_space import NasBench201Space
from latbench.testing.fake import CostModelBackend

Path(__file__).with_name("imported").touch()

class Runtime(CostModelBackend):
    name = "evil-runtime"

class Space(NasBench201Space):
    name = "evil-space"

class Predictor(RidgeCounts):
    name = "evil-predictor"

@dataclass(frozen=True)
class Layer(Op):
    pass
"""
RUNTIME, SPACE, PREDICTOR = "evilmod:Runtime", "evilmod:Space", "evilmod:Predictor"
OPTIONS = {"s_per_mac": 1e-9, "seed": 0}
CONFIG = {"channels": 2, "cells": 1, "resolution": 8, "in_channels": 1}
KNOWN = nasbench201(**CONFIG)
EXPERIMENT = """
title = "a stranger's"
[space]
name = "{space}"
channels = 2
cells = 1
resolution = 8
in_channels = 1
[[backends]]
name = "{backend}"
s_per_mac = 1e-9
[predict]
compare = ["{predictor}"]
penalty = "{predictor}"
"""
TINY = "--data d.npz --setting epochs=1 --setting batch=16 --setting channels=2 --setting cells=1"
SEARCH = """
[search]
backend = "{backend}"
penalty_weights = [0.5]
[search.settings]
method = "evilmod:Searching(draws=3)"
[prune]
backend = "{backend}"
budgets = ["50%"]
"""


def fill(path: Path, space: AnySpace, factor: float = 1.0, **conditions: object) -> Path:
    """24 sampled rows and a retest, under the same numbers in every space."""
    with Store(path, space) as store:
        number = store.add_set(make_set(**conditions))
        for i in range(24):
            text = str(space.unrank(i if space.size < 100 else 97 * i))
            store.add(number, row(i, factor=factor * (1 + i / 50), architecture=text))
        store.add(number, row(0, repeat=1, factor=1.01, architecture=str(space.unrank(0))))
    return path


def save_models(folder: Path) -> None:
    """One with a foreign backend, one with a foreign predictor, one with a foreign space."""
    with Store(folder / "backend.sqlite") as store:
        dataset = store.dataset()
    LatencyModel.fit(dataset, make_predictor("ridge-counts")).save(folder / "m-backend")
    LatencyModel.fit(dataset, make_predictor(PREDICTOR)).save(folder / "m-predictor")
    with Store(folder / "space.sqlite") as store:
        foreign = store.dataset()
    LatencyModel.fit(foreign, make_predictor("ridge-counts")).save(folder / "m-space")


def save_network(folder: Path) -> None:
    """A model with a foreign layer kind."""
    layer = registry("layer kind").find("evilmod:Layer")
    b = NetworkBuilder((1, 3, 8, 8))
    save_model(Model("foreign", b.build(b.add(layer(), b.input))), folder)


def save_experiment(folder: Path, store: Path, space: str) -> None:
    """A finished experiment's folder."""
    names = {"space": space, "backend": RUNTIME, "predictor": PREDICTOR}
    folder.mkdir()
    (folder / "experiment.toml").write_text((EXPERIMENT + SEARCH).format(**names))
    shutil.copy(store, folder / "measurements.sqlite")
    write_json(folder / "sets.json", {RUNTIME: 1})
    rating = dict.fromkeys(
        ("mape", "rmse", "within_5", "within_10", "spearman", "kendall"), (0.1, 0.05, 0.2)
    )
    compared = [PredictorResult(PREDICTOR, (1e-3,) * 24, rating)]
    write_json(
        folder / "predictors" / RUNTIME / "comparison.json",
        {"inputs": "x", "results": results.comparison_json(compared), "judge": PREDICTOR},
    )
    cell = str(KNOWN.unrank(97))
    found = SearchResult(
        "λ = 0.5", RUNTIME, 0.5, cell,
        tuple(SearchEpoch(i, 0.5, 0.5, 1e-3, 1.0, architecture=cell) for i in range(3)), 1e-3,
        together=(RUNTIME,), predicted_elsewhere={RUNTIME: 1e-3}, stated={RUNTIME: Stated()},
        guide=PREDICTOR, keeper=PREDICTOR, judge=PREDICTOR,
    )  # fmt: skip
    write_json(
        folder / "search" / RUNTIME / "weight-0.5" / "result.json",
        {"inputs": "x", "result": results.result_json(found)},
    )
    write_json(folder / "prune" / "models.json", [f"{RUNTIME}/a"])
    save_pruned(folder / "prune" / RUNTIME / "a")


def save_pruned(folder: Path) -> None:
    """A model that was pruned to one budget."""
    values = {"inputs": "x", "result": made("50%", backend=RUNTIME).values()}
    write_json(folder / "50%" / "pruned.json", values)


def write_files(folder: Path) -> None:
    """All of them, written where the module can be found; ``sys.modules`` does not keep it."""
    (folder / "evilmod.py").write_text(MODULE)
    (folder / "space.toml").write_text('[space]\nname = "evilmod:Space"\n')
    (folder / "own.toml").write_text(
        EXPERIMENT.format(space="nasbench201", backend=FAKE, predictor="ridge-counts")
    )
    (folder / "table.csv").write_text(
        f"architecture,device,latency_ms\n{KNOWN.reference()},{RUNTIME},1.5\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(sys.modules, "evilmod", ModuleType("evilmod"))  # gone again afterwards
        del sys.modules["evilmod"]
        pixels, labels = np.zeros((32, 8, 8), np.uint8), np.arange(32) % 10
        np.savez(folder / "d.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
        foreign = make_space(SPACE, CONFIG)
        mine: dict[str, Any] = {"backend": RUNTIME, "options": OPTIONS}
        fill(folder / "backend.sqlite", KNOWN, **mine)
        fill(folder / "later.sqlite", KNOWN, 1.1, **mine)
        fill(folder / "space.sqlite", foreign)
        fill(folder / "everything.sqlite", foreign, **mine)
        fill(folder / "everything-later.sqlite", foreign, 1.1, **mine)
        fill(folder / "layers.sqlite", IsolatedLayers(IsolatedConfig(of=str(foreign))))
        save_models(folder)
        save_network(folder / "m-network")
        save_pruned(folder / "p-model")
        save_experiment(folder / "e-all", folder / "everything.sqlite", SPACE)
        save_experiment(folder / "e-backend", folder / "backend.sqlite", "nasbench201")
        for name in ("backend", "space"):
            with Store(folder / f"{name}.sqlite") as store:
                export_parquet(store, folder / f"{name}.parquet")
