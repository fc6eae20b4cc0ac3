"""How well budgets are kept: three networks, three budgets each, as measured.

Nothing is learned here, since a latency depends on which groups stay and not on their weights: the
images are noise, and one epoch of a few of them is trained. The budgets are pruned by the command's
own function, with its tables and at most two corrections each, and judged by its last campaign, in
which the network before and after is measured side by side.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from harness import Figure, figure

from latbench.backends.simd_sparse import SimdSparse
from latbench.experiment.pruning.prune_job import prune_to_budgets
from latbench.experiment.pruning.prune_settings import TRAINING, PruneJob
from latbench.models import Model, save_model
from latbench.networks.network import Network
from latbench.networks.weights import make_weights
from latbench.progress import Bars
from latbench.timing.verdicts import ABOVE_BUDGET

BUDGETS = ("60%", "35%", "20%")
LEAST, MOST = 0.95, 1 + ABOVE_BUDGET  # of the budget, as measured


def figures(networks: dict[str, Network], out: Path, quick: bool) -> list[Figure]:
    """What the pruned networks take, as shares of their budgets."""
    shown, kept, budgets = list[Figure](), 0, BUDGETS[:1] if quick else BUDGETS
    for name, network in networks.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        save_model(Model(name, network, make_weights(network)), folder / "dense")
        write_noise(folder / "noise.npz", network)
        job = PruneJob(
            str(folder / "dense"), budgets, str(folder / "noise.npz"), rounds=1,
            training=replace(TRAINING, epochs=1, batch=8),
        )  # fmt: skip
        for found in prune_to_budgets(job, SimdSparse(), folder / "pruned", Bars()):
            share = found.latency_s / found.budget_s
            kept += LEAST <= share <= MOST
            of = f"{name}: {found.budget}, measured over the budget"
            shown.append(figure(of, share, "x", 1))
    every = len(networks) * len(budgets)
    shown.append(
        figure(f"budgets kept, {LEAST:g} to {MOST:g} of them", kept, f"of {every}", every,
               at_least=None if quick else every)
    )  # fmt: skip
    return shown


def write_noise(path: Path, network: Network) -> None:
    """Writes 16 images of noise, one of which has the last class that the network knows."""
    rng = np.random.default_rng(0)
    _, channels, height, width = network.input_shape
    images = rng.integers(0, 256, (16, height, width, channels), dtype=np.uint8)
    labels = np.arange(16) % network.output_shape[1]
    labels[-1] = network.output_shape[1] - 1
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
