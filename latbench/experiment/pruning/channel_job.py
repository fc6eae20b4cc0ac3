"""The pruning of channels to budgets on any backend: networks of other widths are measured, and a
predictor is fitted on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, final

from latbench.campaign import CampaignOptions, run_campaign
from latbench.experiment.pruning.both_jobs import DENSE, Left, ModelTimer, OneRun
from latbench.experiment.pruning.prune_settings import PruneJob
from latbench.models import Model, save_model
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.progress import of_campaign
from latbench.search.images.images import ImageData
from latbench.search.pruning.prune import (
    Budget,
    PruneConfig,
    check_budget,
    check_rounds,
    prune,
)
from latbench.spaces import make_space
from latbench.spaces.architecture import Architecture
from latbench.store import Store

STORE = "widths.sqlite"


@final
class ChannelPruning:
    """The pruning of a model's channels.

    Raises UsageError for a network without widths or with too many, fewer epochs than rounds, and a
    predictor that there is not. Networks are measured when ``prepare`` is called.
    """

    def __init__(
        self, job: PruneJob, model: Model, data: ImageData, timer: ModelTimer, out: Path
    ) -> None:
        self._job, self._model, self._data, self._timer, self._out = job, model, data, timer, out
        self._config = PruneConfig(rounds=job.rounds)
        check_rounds(self._config, job.training)
        self._predictor = make_predictor(job.setting("predictor"))
        self._space: Any = self._widths(job.model)
        _ = self._space.layer_kinds()  # refuses a network without widths, or with too many

    def _widths(self, folder: str) -> Any:
        steps = {name: self._job.setting(name) for name in ("step", "least")}
        return make_space("widths", {"model": folder, **steps})

    def prepare(self) -> None:
        """Measures networks of other widths, and fits the predictor on them."""
        self._space = self._widths(str(self._out / DENSE))
        conditions = self._timer.conditions
        with Store(self._out / STORE, self._space) as store:
            with self._timer.bars.bar(f"networks of other widths on {conditions.name}") as step:
                place = run_campaign(
                    store, conditions.backend,
                    n=min(self._job.setting("networks"), self._space.size),
                    protocol=conditions.protocol, options=CampaignOptions(),
                    report=of_campaign(step),
                ).set_id  # fmt: skip
            dataset = store.dataset(set_id=place)
        self._fitted = LatencyModel.fit(dataset, self._predictor)
        self._card = self._fitted.card.model_dump_json()

    def _budget(self, whole: float, most: float, folder: Path | None = None) -> Budget:
        # Predictions of a network as a part of that of the whole one.
        scale = whole / float(self._fitted.predict([self._space.reference()])[0])

        def beside(one: Architecture) -> float:
            assert folder is not None
            candidate = Model("candidate", self._space.build(one))
            return self._timer.beside(self._model, candidate, folder, whole)

        return Budget(
            lambda networks: scale * self._fitted.predict(networks), self._card, whole, most,
            None if folder is None else beside,
        )  # fmt: skip

    def check(self, whole: float, most: float) -> None:
        """Raises UsageError for a budget that no widths keep."""
        check_budget(self._space, self._budget(whole, most))

    def prune(self, run: OneRun) -> Left:
        """Prunes to one budget."""
        epochs, rounds = run.training.epochs, self._job.rounds
        pruned, found = prune(
            self._space, self._model, self._data, self._budget(run.whole, run.most, run.folder),
            self._config, run.training, directory=run.folder,
            progress=lambda k, e: run.report(
                epochs * k // rounds + e.epoch + 1, epochs, f"loss {e.loss:.3f}"
            ),
        )  # fmt: skip
        widths = self._space.widths(self._space.parse(found[-1].architecture))
        return Left(
            pruned, found[-1].predicted, found[-1].accuracy, widths, pruned.network.parameters,
            tuple(map(dataclasses.asdict, found)),
        )  # fmt: skip

    def save(self, model: Model, folder: Path) -> None:
        """Saves a pruned model."""
        save_model(model, folder)

    def widths_before(self) -> dict[str, int]:
        """Returns how many channels each group has before pruning."""
        widths: dict[str, int] = self._space.widths(self._space.reference())
        return widths
