"""``latbench prune``: a trained model made to keep a latency budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    BackendOption,
    BackendOptions,
    JsonOption,
    PlotOption,
    console,
    interruptible,
    parse_options,
    print_json,
    show,
)
from latbench.cli.pages import check_plot
from latbench.cli.search_command import DataOption
from latbench.progress import messages

ModelArgument = Annotated[
    Path, typer.Argument(help="Folder of a saved model with trained weights.")
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget", metavar="LIMIT",
        help="The most that it may take: 5ms, or 50% of what it takes now.",
    ),
]  # fmt: skip
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the store and the models.")]
NetworksOption = Annotated[
    int, typer.Option("-n", min=10, help="Measure so many networks of other widths.")
]
JudgingOption = Annotated[
    str,
    typer.Option(
        "--predictor", help="Predicts what widths cost.", autocompletion=completing.predictors
    ),
]
RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, help="Prune in so many rounds; 1 is at once.")
]
EpochsOption = Annotated[
    int, typer.Option("--epochs", min=1, help="Epochs of training, in all rounds together.")
]
StepOption = Annotated[
    int, typer.Option("--step", min=1, help="Widths are multiples of so many channels.")
]


def prune(
    model: ModelArgument,
    budget: BudgetOption,
    out: OutOption,
    backend: BackendOption = "onnxruntime",
    data: DataOption = "digits",
    option: BackendOptions = None,
    networks: NetworksOption = 100,
    predictor: JudgingOption = "ridge-layers",
    rounds: RoundsOption = 3,
    epochs: EpochsOption = 12,
    step: StepOption = 8,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove channels of a trained model until it keeps a latency budget, as measured.

    Networks of other widths are measured and a predictor is fitted on them; then channels that the
    model needs least for what they cost go, round by round, and what is left is trained. The pruned
    model is a saved model like any other. Run it again to go on where it stopped.
    """
    from dataclasses import replace

    from latbench.backends import make_backend
    from latbench.experiment.pruning import PRUNED, TRAINING, PruneJob, prune_model
    from latbench.progress import Bars

    check_plot(plot)
    job = PruneJob(
        str(model), budget, data, networks, predictor, step, rounds=rounds,
        training=replace(TRAINING, epochs=epochs),
    )  # fmt: skip
    runtime = make_backend(backend, **parse_options(option or ()))
    with interruptible(f"what was finished is in {out}; the same command goes on from there"):
        found = prune_model(job, runtime, out, Bars())
    if plot is not None:
        from latbench.report.charts.width_charts import widths_chart
        from latbench.report.picture import save_picture

        save_picture(widths_chart(found["widths_before"], found["widths"]), plot)
    if as_json:
        print_json(found)
        return
    show(_rows(found), False, f"{found['model']} on {backend}")
    console.print(f"the pruned model is {out / PRUNED}", soft_wrap=True)
    if not found["kept"]:
        messages.print(
            "it takes more than the budget, as measured: allow more, or take a smaller --step",
            style="yellow", soft_wrap=True,
        )  # fmt: skip


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The model before and after, side by side."""
    return [
        {
            "model": name,
            "latency": f"{1e3 * found[f'latency{key}_s']:.4g} ms",
            "of the budget": f"{found[f'latency{key}_s'] / found['budget_s']:.1%}",
            "accuracy": f"{found[f'accuracy{key}']:.2%}",
            "parameters": f"{found[f'parameters{key}']:,}",
        }
        for name, key in (("before", "_before"), ("pruned", ""))
    ]


COMMANDS = (prune,)
