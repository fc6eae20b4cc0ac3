"""The pruning of a saved model to one budget or several: what all of them need is measured once,
each is pruned by itself, and what is left is measured side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.backends import availability_of, backend_spec, require
from latbench.backends.base import Backend
from latbench.device import cpu_name
from latbench.errors import DAMAGE, ParseError, UsageError, in_words
from latbench.experiment.pruning.both_jobs import (
    PRUNED,
    RESULT,
    WHOLE_STORE,
    Left,
    ModelTimer,
    OneRun,
    Way,
    keep_dense,
    model_to_prune,
    whole_latency,
)
from latbench.experiment.pruning.prune_settings import Method, PruneJob
from latbench.experiment.verification import Conditions
from latbench.files import content_hash, read_json, reusable, write_json
from latbench.models import Model
from latbench.progress import ProgressBars
from latbench.results import PrunedResult
from latbench.timing.metric import LATENCY, parse_amount

if TYPE_CHECKING:
    from latbench.search.images.images import ImageData

_OF_ONE_CALL = ("model", "budgets", "seeds")  # of a job, which no single result depends on


def prune_to_budgets(
    job: PruneJob, backend: Backend, out: Path, bars: ProgressBars
) -> list[PrunedResult]:
    """Prunes a model until it keeps each of its budgets, as measured, and saves what is left.

    Called again, it goes on where it stopped; with another budget, what was measured for the others
    is there already. What a budget left is in a folder of its name, see ``run_folder``.

    Args:
        job: What is pruned to what.
        backend: The backend whose latency the budgets are of.
        out: The folder that takes what is measured, the models and the results.
        bars: The progress bars.

    Returns:
        The results, by budget and then by seed.

    Raises:
        UsageError: For a model without weights or with nothing to prune, a budget that cannot be
            kept or that asks for nothing, a setting of another method, and data that do not fit;
            before anything is trained.
        BackendUnavailable: Where the backend cannot run.
    """
    work = _checked(job, backend, out, bars)
    if (known := work.known()) is not None:
        return known
    keep_dense(work.model, out)
    work.way.prepare()
    whole = whole_latency(
        work.model, backend, out, lambda: work.timer(out / WHOLE_STORE, work.model)[0][0]
    )
    limits = {text: parse_amount(LATENCY, text, whole) for text in job.budgets}
    for text, most in limits.items():
        work.check(whole, most, text)
    left = [
        (text, seed, work.prune(whole, most, text, seed))
        for text, most in limits.items() for seed in range(job.seeds)
    ]  # fmt: skip
    results = list(work.measured(left, whole))
    for result in results:
        values = {"inputs": work.inputs, "result": result.values()}
        write_json(Path(result.folder).with_name(RESULT), values)
    return results


def check_job(job: PruneJob, backend: Backend, out: Path, bars: ProgressBars) -> None:
    """Checks all that can be known before anything is measured, and writes nothing.

    Args:
        job: What is pruned to what.
        backend: The backend.
        out: The folder that would take the results.
        bars: The progress bars.

    Raises:
        UsageError: For what ``prune_to_budgets`` refuses, but budgets that cannot be kept.
        BackendUnavailable: Where the backend cannot run.
    """
    _checked(job, backend, out, bars)


def run_folder(out: Path, budget: str, seed: int) -> Path:
    """Returns the folder of what one budget and seed leave: ``50%``, ``50%-seed-1`` and so on."""
    return out / (f"{budget}-seed-{seed}" if seed else budget)


def pruned_results(out: Path, budgets: Sequence[str] = (), seeds: int = 0) -> list[PrunedResult]:
    """Reads the results in a folder that ``prune_to_budgets`` filled: of these budgets and seeds,
    as far as they are there, or of all, the slowest first."""
    if budgets:
        asked = [run_folder(out, text, seed) / RESULT for text in budgets for seed in range(seeds)]
        return [_read(path) for path in asked if path.is_file()]
    found = [_read(path) for path in sorted(out.glob(f"*/{RESULT}"))]
    return sorted(found, key=lambda one: (-one.budget_s, one.seed))


def _read(path: Path) -> PrunedResult:
    """A result, in the folder in which it is now."""
    try:
        found = PrunedResult.of(read_json(path)["result"])
    except DAMAGE as error:
        raise ParseError(f"{path} is damaged ({in_words(error)}); prune again") from error
    return dataclasses.replace(found, folder=str(path.with_name(PRUNED)))


def _checked(job: PruneJob, backend: Backend, out: Path, bars: ProgressBars) -> _Work:
    from latbench.search.images.images import load_images

    method = job.chosen(backend)
    require(backend)
    model = model_to_prune(job.model, out)
    shape = model.network.input_shape
    if not model.network.classifies_images:
        raise UsageError(
            f"the network of {job.model} reads {shape} and gives {model.network.output_shape}; "
            "what is pruned classifies square images"
        )
    data = load_images(job.data, shape[2], job.limit or None)
    data.check_fits(shape, model.network.output_shape[1])
    timer = ModelTimer(Conditions(backend_spec(backend)[0], backend, job.protocol), bars)
    way = _way_of(method)(job, model, data, timer, out)
    return _Work(job, out, timer, method, model, data, way)


def _way_of(method: Method) -> Callable[[PruneJob, Model, ImageData, ModelTimer, Path], Way]:
    # Each of them imports what the other does without.
    if method == "channels":
        from latbench.experiment.pruning.channel_job import ChannelPruning

        return ChannelPruning
    from latbench.experiment.pruning.group_job import GroupPruning

    return GroupPruning


@dataclass(frozen=True)
class _Work:
    job: PruneJob
    out: Path
    timer: ModelTimer
    method: Method
    model: Model
    data: ImageData
    way: Way

    @property
    def inputs(self) -> str:
        """A hash that changes with everything that a result depends on, but its budget and seed."""
        job, backend = self.job, self.timer.conditions.backend
        others = {k: v for k, v in dataclasses.asdict(job).items() if k not in _OF_ONE_CALL}
        return content_hash(
            others, str(self.model), self.method, self.data.fingerprint(), backend_spec(backend),
            backend.device_name() or cpu_name(), availability_of(backend).version,
        )  # fmt: skip

    def known(self) -> list[PrunedResult] | None:
        """All results, where each of them is there already."""
        results, inputs = list[PrunedResult](), self.inputs
        for text in self.job.budgets:
            for seed in range(self.job.seeds):
                folder = run_folder(self.out, text, seed)
                done = reusable(folder / RESULT, inputs)
                if done is None or not (folder / PRUNED).is_dir():
                    return None
                found = PrunedResult.of(done["result"])
                results.append(dataclasses.replace(found, folder=str(folder / PRUNED)))
        return results

    def check(self, whole: float, most: float, text: str) -> None:
        """Raises UsageError for a budget that cannot be kept, which it names among several."""
        try:
            self.way.check(whole, most)
        except UsageError as error:
            if len(self.job.budgets) == 1:
                raise
            raise UsageError(f"{text}: {error}") from error

    def prune(self, whole: float, most: float, text: str, seed: int) -> Left:
        """What one budget and seed leave; trained from it, or read where it was."""
        training = self.job.training
        named = f", seed {seed}" if self.job.seeds > 1 else ""
        with self.timer.bars.bar(f"train what is left, {text}{named}") as step:
            return self.way.prune(
                OneRun(
                    whole, most, run_folder(self.out, text, seed),
                    dataclasses.replace(training, seed=training.seed + seed), step,
                )
            )  # fmt: skip

    def measured(self, left: list[tuple[str, int, Left]], whole: float) -> Iterator[PrunedResult]:
        """Saves what is left, and measures it beside the model, all in one campaign."""
        from latbench.export.torch import to_torch
        from latbench.search.training.train import evaluate

        model = self.model
        found = [
            dataclasses.replace(
                of.model,
                name=f"{model.name} pruned to {text}{f', seed {seed}' if seed else ''}",
                trained=self.data.trained(of.accuracy),
            )
            for text, seed, of in left
        ]
        # In a store of its own: what is added to an older one is not timed beside what is there.
        store = f"side-by-side-{content_hash(*sorted(map(str, found)))[:8]}.sqlite"
        (before, _), *times = self.timer(self.out / store, model, *found)
        accuracy = evaluate(to_torch(model.network, model.weights), self.data)
        for (text, seed, of), one, (latency, noise) in zip(left, found, times, strict=True):
            folder = run_folder(self.out, text, seed) / PRUNED
            self.way.save(one, folder)
            yield PrunedResult(
                method=self.method, model=str(model), pruned=str(one), folder=str(folder),
                store=store, backend=self.timer.conditions.name, budget=text, seed=seed,
                budget_s=parse_amount(LATENCY, text, before), latency_before_s=before,
                latency_s=latency, predicted_s=of.predicted * before / whole, noise=noise,
                accuracy_before=accuracy, accuracy=of.accuracy,
                parameters_before=model.network.parameters, parameters=of.parameters,
                widths_before=self.way.widths_before(), widths=of.widths, rounds=of.rounds,
            )  # fmt: skip
