"""``latbench prune``: a trained model made to keep latency budgets."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    BackendOption,
    BackendOptions,
    JsonOption,
    PlotOption,
    console,
    interruptible,
    milliseconds,
    parse_options,
    print_json,
    show,
)
from latbench.cli.model_options import ShapeOption
from latbench.cli.naming_models import trainable_folder
from latbench.cli.pages import check_plot
from latbench.cli.round_bars import parse_share
from latbench.cli.search_command import DataOption
from latbench.errors import UsageError
from latbench.progress import messages

if TYPE_CHECKING:
    from latbench.comparison.fronts import BudgetMean
    from latbench.results import PrunedResult

ModelArgument = Annotated[
    Path | None,
    typer.Argument(help="Folder of a saved model with trained weights.", show_default=False),
]
TrainedOnnxOption = Annotated[
    Path | None,
    typer.Option(
        "--onnx", metavar="FILE", help="Or the network of this ONNX file, with trained weights."
    ),
]
BudgetOption = Annotated[
    list[str],
    typer.Option(
        "--budget", metavar="LIMIT",
        help="The most that it may take: 5ms, or 50% of what it takes now; repeatable.",
    ),
]  # fmt: skip
OutOption = Annotated[
    Path,
    typer.Option("--out", help="Folder for what is measured, and for a folder of each budget."),
]
NetworksOption = Annotated[
    int | None,
    typer.Option(
        "-n", min=10,
        help="Measure so many networks of other widths (channels only).  \\[default: 100]",
    ),
]  # fmt: skip
JudgingOption = Annotated[
    str | None,
    typer.Option(
        "--predictor", autocompletion=completing.predictors,
        help="Predicts what widths cost (channels only).  \\[default: ridge-layers]",
    ),
]  # fmt: skip
RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, help="Prune in so many rounds; 1 is at once.")
]
EpochsOption = Annotated[
    int, typer.Option("--epochs", min=1, help="Epochs of training, in all rounds together.")
]
SeedsOption = Annotated[
    int, typer.Option("--seeds", min=1, help="Prune to each budget from so many seeds.")
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method", metavar="METHOD",
        help="What goes, and how: channels (any backend), or groups of weights on simd-sparse, by "
        "magnitude or admm. The default is channels, on simd-sparse magnitude.",
    ),
]  # fmt: skip
DistillationOption = Annotated[
    str | None,
    typer.Option(
        "--distillation", metavar="SHARE",
        help="The share of the loss that the model before pruning teaches (groups only).  "
        "\\[default: 0]",
    ),
]  # fmt: skip
TablesOption = Annotated[
    Path | None,
    typer.Option(
        "--tables", metavar="STORE",
        help="Take the latency table of this store, and measure it into it where it is not there "
        "(groups only).  \\[default: a store in the folder]",
    ),
]  # fmt: skip
StepOption = Annotated[
    int | None,
    typer.Option(
        "--step", min=1,
        help="Widths are multiples of so many channels (channels only).  \\[default: 8]",
    ),
]  # fmt: skip


def prune(
    budget: BudgetOption,
    out: OutOption,
    model: ModelArgument = None,
    onnx: TrainedOnnxOption = None,
    shape: ShapeOption = None,
    backend: BackendOption = "onnxruntime",
    data: DataOption = "digits",
    option: BackendOptions = None,
    networks: NetworksOption = None,
    predictor: JudgingOption = None,
    rounds: RoundsOption = 3,
    epochs: EpochsOption = 12,
    seeds: SeedsOption = 1,
    step: StepOption = None,
    method: MethodOption = None,
    distillation: DistillationOption = None,
    tables: TablesOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prune a trained model until it keeps a latency budget, or several, as measured.

    On any backend channels go: networks of other widths are measured and a predictor is fitted on
    them. On simd-sparse groups of weights go, by latency tables of its layers. Both go round by
    round, least needed first for what they cost, and what is left is trained. A pruned model is a
    saved model like any other. Run it again to go on where it stopped, or with further budgets.
    """
    check_plot(plot)
    given = {
        "networks": networks, "predictor": predictor, "step": step,
        "distillation": None if distillation is None else parse_share(distillation, ends=True),
        "tables": None if tables is None else str(tables),
    }  # fmt: skip
    kept = f"what was finished is in {out}; the same command goes on from there"
    with interruptible(kept), _folder(model, onnx, shape) as folder:
        job = {
            "model": str(folder), "budgets": tuple(budget), "data": data, "rounds": rounds,
            "seeds": seeds, **given,
        }  # fmt: skip
        found = _pruned(job, (backend, parse_options(option or ())), method, epochs, out)
    if plot is not None:
        from latbench.report.picture import picture_of_pruned, save_picture

        save_picture(picture_of_pruned(found), plot)
    if as_json:
        print_json([one.values() for one in found])
        return
    _print(found)


def _folder(
    model: Path | None, onnx: Path | None, shape: list[str] | None
) -> AbstractContextManager[Path]:
    """The folder of the model that is to be pruned, which one of the two names."""
    if (model is None) == (onnx is None):
        raise UsageError("name one model to prune: the folder of a saved one, or --onnx FILE")
    if onnx is not None:
        return trainable_folder(onnx, shape)
    if shape:
        raise UsageError("--shape is of an ONNX file's input; name the file with --onnx")
    assert model is not None
    return nullcontext(model)


# What a user knows a setting by.
_OPTIONS = {"networks": "-n"}


def _pruned(
    job: dict[str, Any], runtime: tuple[str, dict[str, Any]], method: str | None, epochs: int,
    out: Path,
) -> list[PrunedResult]:  # fmt: skip
    """The results of pruning by a method, on a backend of this name with these options."""
    from dataclasses import replace

    from latbench.backends import make_backend
    from latbench.experiment.pruning.prune_job import prune_to_budgets
    from latbench.experiment.pruning.prune_settings import (
        TRAINING,
        PruneJob,
        check_given,
        method_on,
    )
    from latbench.progress import Bars

    name, options = runtime
    backend = make_backend(name, **options)
    chosen = method_on(method, backend.name)
    check_given(job, chosen, lambda setting: _OPTIONS.get(setting, f"--{setting}"))
    whole = PruneJob(**job, method=chosen, training=replace(TRAINING, epochs=epochs))
    return prune_to_budgets(whole, backend, out, Bars())


def _print(found: list[PrunedResult]) -> None:
    """Prints a table of the model and its budgets, the front, and where the pruned models are."""
    from latbench.comparison.fronts import budget_means

    before, *means = budget_means(found)
    show([_row(one, before) for one in (before, *means)], False,
         f"{before.model} on {found[0].backend}")  # fmt: skip
    if len(means) > 1:
        front = sorted((one for one in (before, *means) if one.on_front), key=_latency)
        names = ", ".join(one.budget or "before" for one in front)
        console.print(f"front of accuracy over measured latency: {names}", soft_wrap=True)
    for one in found:
        seed = f", seed {one.seed}" if one.seed else ""
        of = f" for {one.budget}{seed}" if len(found) > 1 else ""
        console.print(f"the pruned model{of} is {one.folder}", soft_wrap=True)
    for one in found:
        if not one.kept:
            finer = ", or take a smaller --step" if one.method == "channels" else ""
            messages.print(
                f"{one.budget}: it takes {one.latency_s / one.budget_s:.1%} of the budget, as "
                f"measured: allow more{finer}",
                style="yellow", soft_wrap=True,
            )  # fmt: skip


def _latency(one: BudgetMean) -> float:
    return one.latency_s


def _row(one: BudgetMean, before: BudgetMean) -> dict[str, Any]:
    """A row of the table; of several seeds the mean."""
    from latbench.text import ABSENT

    shown = {"budget": one.budget or "before", "latency": milliseconds(one.latency_s)}
    spread = "" if one.deviation is None else f" ± {one.deviation:.2%}"
    return shown | {
        "predicted": ABSENT if one.predicted_s is None else milliseconds(one.predicted_s),
        "of the budget": ABSENT if one.of_budget is None else f"{one.of_budget:.1%}",
        "faster": f"{before.latency_s / one.latency_s:.2f} x",
        "accuracy": f"{one.accuracy:.2%}{spread}",
        "parameters": f"{one.parameters:,.0f}",
    }


COMMANDS = (prune,)
