"""The pruning of channels to a budget on any backend: measured, fitted, pruned, measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latbench.backends import require
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.experiment.pruning.both_jobs import (
    BOTH,
    PRUNED,
    RESULT,
    TRAINING,
    kept_budget,
    measured_value,
    model_to_prune,
)
from latbench.experiment.verification import Conditions, time_found
from latbench.files import write_json
from latbench.models import Model, save_model
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.progress import ProgressBars, of_campaign
from latbench.search.config import TrainConfig
from latbench.spaces import make_space
from latbench.spaces.architecture import Architecture
from latbench.store import Store
from latbench.timing.protocol import Protocol
from latbench.validation import Count, check_fields

STORE = "widths.sqlite"


@dataclass(frozen=True)
class PruneJob:
    """A model to be pruned, and to what.

    It has the folder of the ``model``, the ``budget`` (``5ms``, or ``50%`` of what the model
    takes), the ``data``, how many ``networks`` of other widths are measured for the ``predictor``,
    the widths (``step``, ``least``, see ``WidthsConfig``), the number of ``rounds`` and the
    settings of ``training`` what is left.
    """

    model: str
    budget: str
    data: str
    networks: Count = 100
    predictor: str = "ridge-layers"
    step: Count = 8
    least: Count = 12
    rounds: Count = 3
    training: TrainConfig = field(default_factory=lambda: TRAINING)

    def __post_init__(self) -> None:
        check_fields(self)


def prune_model(job: PruneJob, backend: Backend, out: Path, bars: ProgressBars) -> dict[str, Any]:
    """Prunes a model until it keeps its budget as measured, and saves what is left.

    Run again, it goes on where it stopped.

    Args:
        job: What is pruned to what.
        backend: The backend whose latency the budget is of.
        out: The folder that takes the store, the checkpoints, the pruned model and the result.
        bars: The progress bars.

    Returns:
        The result: latencies in seconds, the budget, accuracies as fractions, and the rounds.

    Raises:
        UsageError: For a model without weights, a budget that no widths keep or that asks for
            nothing, and data that do not fit.
        BackendUnavailable: Where the backend cannot run.
    """
    from latbench.export.torch import to_torch
    from latbench.search.images.images import load_images
    from latbench.search.pruning.prune import Budget, PruneConfig, check_rounds, prune
    from latbench.search.training.train import evaluate

    # Errors come before hours.
    config, predictor = PruneConfig(rounds=job.rounds), make_predictor(job.predictor)
    check_rounds(config, job.training)
    require(backend)
    model = model_to_prune(job.model, job.budget, out)
    space: Any = make_space("widths", {"model": job.model, "step": job.step, "least": job.least})
    _ = space.layer_kinds()  # refuses a network without widths, or with too many
    data = load_images(job.data, space.config.resolution)
    data.check_fits(model.network.input_shape, model.network.output_shape[1])
    out.mkdir(parents=True, exist_ok=True)
    conditions = Conditions(backend.name, backend, Protocol())
    with Store(out / STORE, space) as store:
        with bars.bar(f"networks of other widths on {backend.name}") as step:
            place = run_campaign(
                store, backend, n=min(job.networks, space.size), protocol=conditions.protocol,
                options=CampaignOptions(), report=of_campaign(step),
            ).set_id  # fmt: skip
        fitted = LatencyModel.fit(store.dataset(set_id=place), predictor)

        def measured(*networks: Architecture) -> list[float]:
            found = time_found(store, conditions, networks, bars)
            return [measured_value(store, found, str(one)) for one in networks]

        whole, most = kept_budget(
            job.budget, model, backend, out, lambda: measured(space.reference())[0]
        )
        # Predictions of a network as a part of that of the whole one.
        scale = whole / float(fitted.predict([space.reference()])[0])
        budget = Budget(
            lambda networks: scale * fitted.predict(networks), fitted.card.model_dump_json(),
            whole, most, lambda one: measured(one)[0],
        )  # fmt: skip
        epochs = job.training.epochs
        with bars.bar("train what is left") as step:
            pruned, rounds = prune(
                space, model, data, budget, config, job.training, directory=out,
                progress=lambda k, e: step(
                    epochs * k // job.rounds + e.epoch + 1, epochs, f"loss {e.loss:.3f}"
                ),
            )  # fmt: skip
    last = space.parse(rounds[-1].architecture)
    with Store(out / BOTH, space) as store:  # side by side, in one campaign
        place = time_found(store, conditions, [space.reference(), last], bars)
        before, after = (
            measured_value(store, place, str(one)) for one in (space.reference(), last)
        )
    found = Model(f"{model.name} pruned", pruned.network, pruned.weights)
    save_model(found, out / PRUNED)
    result = {
        "method": "channels", "model": str(model), "pruned": str(found),
        "backend": backend.name, "budget_s": most,
        "latency_before_s": before, "latency_s": after, "kept": after <= most,
        "accuracy_before": evaluate(to_torch(model.network, model.weights), data),
        "accuracy": rounds[-1].accuracy,
        "parameters_before": model.network.parameters, "parameters": found.network.parameters,
        "widths_before": space.widths(space.reference()), "widths": space.widths(last),
        "rounds": [dataclasses.asdict(one) for one in rounds],
    }  # fmt: skip
    write_json(out / RESULT, result)
    return result
