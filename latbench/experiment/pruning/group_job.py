"""The pruning of groups of weights to a budget on ``simd-sparse``: its layers' latency tables are
measured, groups are pruned by them, and what is left is measured."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from latbench.backends import options_of, require
from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.campaign import alone
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
from latbench.files import read_json, write_json
from latbench.models import Model
from latbench.progress import ProgressBars, of_campaign
from latbench.search.config import TrainConfig
from latbench.spaces import SPACES, make_space
from latbench.sparse.groups import group_energies, prunable_layers
from latbench.sparse.latency_tables import MeasuredTable, measure_table
from latbench.sparse.libraries import engine_version
from latbench.sparse.saved import save_sparse, saveable
from latbench.store import Store
from latbench.timing.protocol import Protocol
from latbench.validation import Count, Share, check_fields

TABLE, STORE = "table.json", "whole.sqlite"


@dataclass(frozen=True)
class SparseJob:
    """A model to be pruned in groups of weights, and to what.

    It has the folder of the ``model``, the ``budget`` (``5ms``, or ``50%`` of what the model
    takes), the ``data``, the ``method`` and its number of ``rounds`` (see ``SparsifyConfig``), the
    share of the loss that the model itself teaches (``distillation``), how often every network of
    the table is run (``table_rounds``), and the settings of ``training`` what is left.
    """

    model: str
    budget: str
    data: str
    method: Literal["magnitude", "admm"] = "magnitude"
    rounds: Count = 3
    distillation: Share = 0.0
    table_rounds: Count = 40
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
    from latbench.search.pruning.projection import LatencyTable
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
    table = _table(job, model, backend, out, bars)
    space = make_space(SPACES[0])  # any: the stores hold models alone

    def measured(path: Path, *models: Model) -> list[float]:
        with Store(path, space) as store, bars.bar("measure on simd-sparse") as step:
            place = run_campaign(
                store, backend, models=models, protocol=Protocol(),
                options=CampaignOptions(retest=1.0), report=of_campaign(step),
            ).set_id  # fmt: skip
            return [measured_value(store, place, str(one)) for one in models]

    whole, most = kept_budget(
        job.budget, model, backend, out, lambda: measured(out / STORE, model)[0]
    )

    def beside(candidate: Model) -> float:
        """What a candidate takes, by its ratio to the model in one campaign: the machine may be
        slower than when the budget was set."""
        before, after = measured(out / f"candidate-{candidate.digest}.sqlite", model, candidate)
        return whole * after / before

    # What the table says is taken as a part of what it says of the whole network.
    scale = whole / table.whole
    layers = {
        layer: (kept, tuple(scale * s for s in seconds))
        for layer, (kept, seconds) in table.layers.items()
    }
    budget = GroupBudget(LatencyTable(scale * table.rest, layers), backend.group, most, beside)
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
    before, after = measured(out / BOTH, model, found)  # side by side, in one campaign
    if job.budget.rstrip().endswith("%"):  # a share of what the model takes in that one
        most *= before / whole
    save_sparse(found, out / PRUNED, group=backend.group, threads=(backend.threads,))
    weights = found.arrays
    left = {layer: int((weights[f"{layer}.weight"] != 0).sum()) for layer in table.layers}
    parameters = model.network.parameters
    result = {
        "method": job.method, "model": str(model), "pruned": str(found),
        "backend": backend.name, "budget_s": most,
        "latency_before_s": before, "latency_s": after, "kept": after <= most,
        "accuracy_before": evaluate(to_torch(model.network, model.weights), data),
        "accuracy": rounds[-1].accuracy, "parameters_before": parameters,
        "parameters": parameters
        - sum(weights[f"{layer}.weight"].size - left[layer] for layer in left),
        "widths_before": {str(layer): table.layers[layer][0][-1] for layer in table.layers},
        "widths": {
            str(layer): int((group_energies(weights[f"{layer}.weight"], backend.group) > 0).sum())
            for layer in table.layers
        },
        "rounds": [dataclasses.asdict(one) for one in rounds],
    }  # fmt: skip
    write_json(out / RESULT, result)
    return result


def _table(
    job: SparseJob, model: Model, backend: SimdSparse, out: Path, bars: ProgressBars
) -> MeasuredTable:
    """The table of the folder, measured now where there is none or it is another one's."""
    known = _read_table(out / TABLE) if (out / TABLE).is_file() else None
    if known is not None:
        from latbench.device.cpu import cpu_name

        now = dataclasses.replace(
            known, model=str(model), device=cpu_name(), options=options_of(backend),
            version=engine_version(),
        )  # fmt: skip
        other = known.differences(now)
        if not other:
            return known
        warnings.warn(
            f"the table in {out / TABLE} has another {' and '.join(other)}; it is measured again",
            UserWarning, stacklevel=3,
        )  # fmt: skip
    with bars.bar("latency tables of the layers") as step, alone(backend, of_campaign(step)):
        table = measure_table(
            model, **options_of(backend), version=engine_version(), rounds=job.table_rounds,
            report=lambda done, total: step(done, total, ""),
        )  # fmt: skip
    write_json(out / TABLE, dataclasses.asdict(table))
    return table


def _read_table(path: Path) -> MeasuredTable | None:
    try:
        values = dict(read_json(path))
        layers = {int(k): (tuple(n), tuple(s)) for k, (n, s) in values.pop("layers").items()}
        tiles = tuple(tuple(row) for row in values.pop("tiles"))
        return MeasuredTable(**values, layers=layers, tiles=tiles)
    except (KeyError, TypeError, ValueError):
        return None  # of another version
