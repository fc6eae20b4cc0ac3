"""The pruning of groups of weights to budgets on ``simd-sparse``, by latency tables of the model's
layers."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import final

from latbench.backends import options_of
from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign.campaign import alone
from latbench.errors import UsageError
from latbench.experiment.pruning.both_jobs import Left, ModelTimer, OneRun
from latbench.experiment.pruning.prune_settings import PruneJob
from latbench.files import read_json, write_json
from latbench.models import Model
from latbench.progress import of_campaign
from latbench.search.images.images import ImageData
from latbench.search.pruning.projection import LatencyTable
from latbench.search.pruning.sparsify import (
    GroupBudget,
    SparsifyConfig,
    check_budget,
    check_epochs,
    sparsify,
)
from latbench.sparse.groups import group_energies, prunable_layers
from latbench.sparse.latency_tables import MeasuredTable, measure_table
from latbench.sparse.libraries import engine_version
from latbench.sparse.saved import save_sparse, saveable

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
        """Reads the table of the folder; measures it where there is none or it is another one's."""
        path, backend = self._out / TABLE, self._backend
        known = _read_table(path) if path.is_file() else None
        if known is not None:
            from latbench.device.cpu import cpu_name

            now = dataclasses.replace(
                known, model=str(self._model), device=cpu_name(), options=options_of(backend),
                version=engine_version(),
            )  # fmt: skip
            other = known.differences(now)
            if not other:
                self._table = known
                return
            warnings.warn(
                f"the table in {path} has another {' and '.join(other)}; it is measured again",
                UserWarning, stacklevel=3,
            )  # fmt: skip
        bar = self._timer.bars.bar("latency tables of the layers")
        with bar as step, alone(backend, of_campaign(step)):
            self._table = measure_table(
                self._model, **options_of(backend), version=engine_version(),
                rounds=self._job.setting("table_rounds"),
                report=lambda done, total: step(done, total, ""),
            )  # fmt: skip
        write_json(path, dataclasses.asdict(self._table))

    def _budget(self, whole: float, most: float, folder: Path | None = None) -> GroupBudget:
        # What the table says is taken as a part of what it says of the whole network.
        scale = whole / self._table.whole
        layers = {
            layer: (kept, tuple(scale * s for s in seconds))
            for layer, (kept, seconds) in self._table.layers.items()
        }

        def beside(candidate: Model) -> float:
            assert folder is not None
            return self._timer.beside(self._model, candidate, folder, whole)

        return GroupBudget(
            LatencyTable(scale * self._table.rest, layers), self._backend.group, most,
            None if folder is None else beside,
        )  # fmt: skip

    def check(self, whole: float, most: float) -> None:
        """Raises UsageError for a budget below what the network takes with the fewest groups."""
        check_budget(self._model, self._budget(whole, most), self._config)

    def prune(self, run: OneRun) -> Left:
        """Prunes to one budget."""
        pruned, rounds = sparsify(
            self._model, self._data, self._budget(run.whole, run.most, run.folder), self._config,
            run.training, directory=run.folder,
            progress=lambda done, total: run.report(done, total, ""),
        )  # fmt: skip
        weights = {layer: pruned.arrays[f"{layer}.weight"] for layer in self._table.layers}
        gone = sum(int((weight == 0).sum()) for weight in weights.values())
        widths = {
            str(layer): int((group_energies(weight, self._backend.group) > 0).sum())
            for layer, weight in weights.items()
        }
        return Left(
            pruned, rounds[-1].predicted, rounds[-1].accuracy, widths,
            self._model.network.parameters - gone, tuple(map(dataclasses.asdict, rounds)),
        )  # fmt: skip

    def save(self, model: Model, folder: Path) -> None:
        """Saves a pruned model, also for the engine alone."""
        save_sparse(model, folder, group=self._backend.group, threads=(self._backend.threads,))

    def widths_before(self) -> dict[str, int]:
        """Returns how many groups each layer has before pruning."""
        return {str(layer): kept[-1] for layer, (kept, _) in self._table.layers.items()}


def _read_table(path: Path) -> MeasuredTable | None:
    try:
        values = dict(read_json(path))
        layers = {int(k): (tuple(n), tuple(s)) for k, (n, s) in values.pop("layers").items()}
        tiles = tuple(tuple(row) for row in values.pop("tiles"))
        return MeasuredTable(**values, layers=layers, tiles=tiles)
    except (KeyError, TypeError, ValueError):
        return None  # of another version
