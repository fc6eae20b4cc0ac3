"""The pruning of groups of weights to budgets on ``simd-sparse``, by latency tables of the model's
layers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import final

from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign.group_tables import measure_table, whole_network
from latbench.errors import UsageError
from latbench.experiment.pruning.both_jobs import WHOLE_STORE, Left, ModelTimer, OneRun
from latbench.experiment.pruning.prune_settings import PruneJob
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model
from latbench.progress import of_campaign
from latbench.search.images.images import ImageData
from latbench.search.pruning.sparsify import (
    GroupBudget,
    SparsifyConfig,
    check_budget,
    check_epochs,
    sparsify,
)
from latbench.spaces import SPACES, make_space
from latbench.sparse.groups import kept_groups_of, prunable_layers
from latbench.sparse.latency_tables import LatencyTable
from latbench.sparse.saved import save_sparse, saveable
from latbench.sparse.tiles import with_tiles
from latbench.store import Store

TABLE = "table.json"


@final
class GroupPruning:
    """The pruning of a model's groups of weights, by a method of ``SparsifyConfig``.

    Raises UsageError for a network without layers to prune, one that the engine cannot run, and
    fewer epochs than the rounds need. The table is measured when ``prepare`` is called.
    """

    def __init__(
        self, job: PruneJob, model: Model, data: ImageData, timer: ModelTimer, out: Path
    ) -> None:
        backend = timer.conditions.backend
        assert isinstance(backend, SimdSparse)
        self._job, self._model, self._data, self._timer, self._out = job, model, data, timer, out
        self._backend = backend
        self._config = SparsifyConfig(
            "admm" if job.method == "admm" else "magnitude", job.rounds,
            distillation=job.setting("distillation"),
        )  # fmt: skip
        check_epochs(self._config, job.training)
        if not prunable_layers(model.network):
            raise UsageError(
                f"the model of {job.model} has no layer whose groups could be pruned: none of its "
                "convolutions reads more than 4 channels, of more than one pixel and in one group"
            )
        saveable(model)

    def prepare(self) -> None:
        """Reads the table of the network from the store; measures it into it where it is not there
        or is another one."""
        named = self._job.setting("tables")
        place = Path(named) if named else self._out / WHOLE_STORE
        space = None if place.exists() else make_space(SPACES[0])  # any: it holds models alone
        bar = self._timer.bars.bar("latency table of the layers")
        with Store(place, space) as store, bar as step:
            self._table = measure_table(
                store, self._backend, self._model, held_out=0,
                protocol=self._timer.conditions.protocol, report=of_campaign(step),
            )  # fmt: skip
        self._latency = self._kept_latency(elsewhere=bool(named))

    def _kept_latency(self, elsewhere: bool) -> LatencyTable:
        """The table up to what the model has left, in the times of here; in a file, since with
        every row that a set gets the canary's time, the unit of all, moves a little."""
        table, path = self._table, self._out / TABLE
        inputs = content_hash(str(self._model), table.conditions.key, table.tiles.values())
        if (done := reusable(path, inputs)) is None:
            scale = 1.0
            if elsewhere:
                whole = whole_network(self._model, table)
                _, (now, _) = self._timer(self._out / WHOLE_STORE, self._model, whole)
                scale = now / table.latency.whole
            kept = kept_groups_of(self._model, self._backend.group)
            done = {"inputs": inputs, **table.latency.scaled(scale).up_to(kept).values()}
            write_json(path, done)
        return LatencyTable.from_values(done)

    def _budget(self, most: float, whole: float = 0.0, folder: Path | None = None) -> GroupBudget:
        def beside(candidate: Model) -> float:
            assert folder is not None
            tiled = with_tiles(candidate, self._table.tiles)
            return self._timer.beside(self._model, tiled, folder, whole)

        measured = None if folder is None else beside
        return GroupBudget(self._latency, self._backend.group, most, measured)

    def check(self, whole: float, most: float) -> None:
        """Raises UsageError for a budget below what the network takes with the fewest groups."""
        check_budget(self._model, self._budget(most), self._config)

    def prune(self, run: OneRun) -> Left:
        """Prunes to one budget."""
        pruned, rounds = sparsify(
            self._model, self._data, self._budget(run.most, run.whole, run.folder), self._config,
            run.training, directory=run.folder,
            progress=lambda done, total: run.report(done, total, ""),
        )  # fmt: skip
        gone = sum(
            int((pruned.arrays[f"{layer}.weight"] == 0).sum()) for layer in self._latency.layers
        )
        widths = {
            str(layer): kept for layer, kept in kept_groups_of(pruned, self._backend.group).items()
        }
        # In those tiles that it was predicted and measured in.
        left = with_tiles(pruned, self._table.tiles)
        return Left(
            left, rounds[-1].predicted, rounds[-1].accuracy, widths,
            self._model.network.parameters - gone, tuple(map(dataclasses.asdict, rounds)),
        )  # fmt: skip

    def save(self, model: Model, folder: Path) -> None:
        """Saves a pruned model, also for the engine alone."""
        save_sparse(model, folder, group=self._backend.group, threads=(self._backend.threads,))

    def widths_before(self) -> dict[str, int]:
        """Returns how many groups each layer has before pruning."""
        return {str(layer): kept[-1] for layer, (kept, _) in self._latency.layers.items()}
