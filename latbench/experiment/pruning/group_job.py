"""The pruning of groups of weights to a budget on ``simd-sparse``: its layers' latency tables are
measured, groups are pruned by them, and what is left is measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from latbench.backends import require
from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.group_tables import GroupTable, measure_table, whole_network
from latbench.errors import UsageError
from latbench.experiment.pruning.both_jobs import (
    BOTH,
    PRUNED,
    RESULT,
    TRAINING,
    kept_budget,
    measured_value,
    model_to_prune,
)
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model
from latbench.progress import ProgressBars, of_campaign
from latbench.search.config import TrainConfig
from latbench.spaces import SPACES, make_space
from latbench.sparse.groups import kept_groups_of, prunable_layers
from latbench.sparse.latency_tables import LatencyTable
from latbench.sparse.saved import save_sparse, saveable
from latbench.sparse.tiles import with_tiles
from latbench.store import Store
from latbench.timing.protocol import Protocol
from latbench.validation import Count, Share, check_fields

STORE, TABLE = "whole.sqlite", "table.json"


@dataclass(frozen=True)
class SparseJob:
    """A model to be pruned in groups of weights, and to what.

    It has the folder of the ``model``, the ``budget`` (``5ms``, or ``50%`` of what the model
    takes), the ``data``, the ``method`` and its number of ``rounds`` (see ``SparsifyConfig``), the
    share of the loss that the model itself teaches (``distillation``), the store whose latency
    ``tables`` are taken, where it has that of the network, and which else takes it (none: one in
    the folder of the result), and the settings of ``training`` what is left.
    """

    model: str
    budget: str
    data: str
    method: Literal["magnitude", "admm"] = "magnitude"
    rounds: Count = 3
    distillation: Share = 0.0
    tables: str = ""
    training: TrainConfig = field(default_factory=lambda: TRAINING)

    def __post_init__(self) -> None:
        check_fields(self)


def prune_groups(
    job: SparseJob, backend: SimdSparse, out: Path, bars: ProgressBars
) -> dict[str, Any]:
    """Prunes groups of weights of a model until it keeps its budget as measured, and saves what is
    left, as a model and for the engine.

    Run again, it goes on where it stopped.

    Args:
        job: What is pruned to what.
        backend: The engine, with the options of the budget.
        out: The folder that takes the table, the checkpoints, the pruned model and the result.
        bars: The progress bars.

    Returns:
        The result: latencies in seconds, the budget, accuracies as fractions, densities and the
        rounds.

    Raises:
        UsageError: For a model without weights or without layers to prune, a budget below what the
            rest takes or that asks for nothing, and data that do not fit.
        BackendUnavailable: Where the engine cannot be had.
    """
    from latbench.export.torch import to_torch
    from latbench.search.images.images import load_images
    from latbench.search.pruning.sparsify import (
        GroupBudget,
        SparsifyConfig,
        check_epochs,
        sparsify,
    )
    from latbench.search.training.train import evaluate

    config = SparsifyConfig(job.method, job.rounds, distillation=job.distillation)
    check_epochs(config, job.training)
    require(backend)
    model = model_to_prune(job.model, job.budget, out)
    if not prunable_layers(model.network):
        raise UsageError(
            f"the model of {job.model} has no layer whose groups could be pruned: none of its "
            "convolutions reads more than 4 channels, of more than one pixel and in one group"
        )
    saveable(model)
    data = load_images(job.data, model.network.input_shape[2])
    data.check_fits(model.network.input_shape, model.network.output_shape[1])
    out.mkdir(parents=True, exist_ok=True)
    space = make_space(SPACES[0])  # any: the stores hold models alone
    place = Path(job.tables) if job.tables else out / STORE
    with (
        Store(place, None if place.exists() else space) as store,
        bars.bar("latency table of the layers") as step,
    ):
        table = measure_table(store, backend, model, held_out=0, report=of_campaign(step))

    def measured(path: Path, *models: Model) -> list[float]:
        with Store(path, space) as store, bars.bar("measure on simd-sparse") as step:
            place = run_campaign(
                store, backend, models=models, protocol=Protocol(),
                options=CampaignOptions(retest=1.0), report=of_campaign(step),
            ).set_id  # fmt: skip
            return [measured_value(store, place, str(one)) for one in models]

    @functools.cache
    def now() -> list[float]:
        """What the model takes, and the whole network of a table of another store."""
        others = [whole_network(model, table)] if job.tables else []
        return measured(out / STORE, model, *others)

    latency = _as_of_now(table, model, out, (lambda: now()[1]) if job.tables else None)
    whole, most = kept_budget(job.budget, model, backend, out, lambda: now()[0])

    def beside(candidate: Model) -> float:
        """What a candidate takes, by its ratio to the model in one campaign: the machine may be
        slower than when the budget was set."""
        tiled = with_tiles(candidate, table.tiles)
        before, after = measured(out / f"candidate-{candidate.digest}.sqlite", model, tiled)
        return whole * after / before

    budget = GroupBudget(latency, backend.group, most, beside)
    with bars.bar("train what is left") as step:
        pruned, rounds = sparsify(
            model,
            data,
            budget,
            config,
            job.training,
            directory=out,
            progress=lambda done, total: step(done, total, ""),
        )
    found = Model(f"{model.name} pruned", pruned.network, pruned.weights)
    found = with_tiles(found, table.tiles)  # those that it was predicted and measured in
    before, after = measured(out / BOTH, model, found)  # side by side, in one campaign
    if job.budget.rstrip().endswith("%"):  # a share of what the model takes in that one
        most *= before / whole
    save_sparse(found, out / PRUNED, group=backend.group, threads=(backend.threads,))
    weights = found.arrays
    left = {layer: int((weights[f"{layer}.weight"] != 0).sum()) for layer in latency.layers}
    parameters = model.network.parameters
    result = {
        "method": job.method, "model": str(model), "pruned": str(found),
        "backend": backend.name, "budget_s": most,
        "latency_before_s": before, "latency_s": after, "kept": after <= most,
        "accuracy_before": evaluate(to_torch(model.network, model.weights), data),
        "accuracy": rounds[-1].accuracy, "parameters_before": parameters,
        "parameters": parameters
        - sum(weights[f"{layer}.weight"].size - left[layer] for layer in left),
        "widths_before": {str(layer): kept[-1] for layer, (kept, _) in latency.layers.items()},
        "widths": {
            str(layer): kept for layer, kept in kept_groups_of(found, backend.group).items()
        },
        "rounds": [dataclasses.asdict(one) for one in rounds],
    }  # fmt: skip
    write_json(out / RESULT, result)
    return result


def _as_of_now(
    table: GroupTable, model: Model, out: Path, now: Callable[[], float] | None
) -> LatencyTable:
    """What a table says of the model, in a file: read again beside more rows, or scaled by another
    measurement, it would be a little different.

    A table of another store is scaled by what its whole network takes ``now``.
    """
    inputs = content_hash(str(model), table.conditions.key, table.tiles.values())
    if (done := reusable(out / TABLE, inputs)) is None:
        scale = 1.0 if now is None else now() / table.latency.whole
        latency = table.latency.scaled(scale).up_to(kept_groups_of(model, table.tiles.group))
        done = {"inputs": inputs, **latency.values()}
        write_json(out / TABLE, done)
    return LatencyTable.from_values(done)
