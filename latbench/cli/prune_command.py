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
from latbench.cli.round_bars import parse_share
from latbench.cli.search_command import DataOption
from latbench.errors import UsageError
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
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method", metavar="METHOD",
        help="What goes, and how: channels (any backend), or groups of weights on simd-sparse, by "
        "magnitude or admm. The default is channels, on simd-sparse magnitude.",
    ),
]  # fmt: skip
DistillationOption = Annotated[
    str,
    typer.Option(
        "--distillation", metavar="SHARE",
        help="The share of the loss that the model before pruning teaches (groups only).",
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
    method: MethodOption = None,
    distillation: DistillationOption = "0",
    tables: TablesOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prune a trained model until it keeps a latency budget, as measured.

    On any backend channels go: networks of other widths are measured and a predictor is fitted on
    them. On simd-sparse groups of weights go, by latency tables of its layers. Both go round by
    round, least needed first for what they cost, and what is left is trained. The pruned model is a
    saved model like any other. Run it again to go on where it stopped.
    """
    from latbench.experiment.pruning.both_jobs import PRUNED

    check_plot(plot)
    settings = {
        "model": str(model), "budget": budget, "data": data, "rounds": rounds, "epochs": epochs
    }  # fmt: skip
    of_channels = {"networks": networks, "predictor": predictor, "step": step}
    with interruptible(f"what was finished is in {out}; the same command goes on from there"):
        found = _pruned(
            settings, of_channels, (backend, parse_options(option or ())), out, method,
            parse_share(distillation) if distillation != "0" else 0.0, tables,
        )  # fmt: skip
    if plot is not None:
        from latbench.report.charts.width_charts import widths_chart
        from latbench.report.picture import save_picture

        what = "channels" if found["method"] == "channels" else "groups of weights"
        save_picture(widths_chart(found["widths_before"], found["widths"], what), plot)
    if as_json:
        print_json(found)
        return
    show(_rows(found), False, f"{found['model']} on {backend}")
    console.print(f"the pruned model is {out / PRUNED}", soft_wrap=True)
    if not found["kept"]:
        finer = ", or take a smaller --step" if found["method"] == "channels" else ""
        messages.print(
            f"it takes more than the budget, as measured: allow more{finer}", style="yellow",
            soft_wrap=True,
        )  # fmt: skip


def _pruned(
    settings: dict[str, Any], of_channels: dict[str, Any], runtime: tuple[str, dict[str, Any]],
    out: Path, method: str | None, distillation: float, tables: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """The result of pruning by a method, on a backend of this name with these options."""
    from dataclasses import replace

    from latbench.backends import make_backend
    from latbench.backends.simd_sparse import SimdSparse
    from latbench.experiment.pruning.both_jobs import TRAINING
    from latbench.experiment.pruning.channel_job import PruneJob, prune_model
    from latbench.experiment.pruning.group_job import SparseJob, prune_groups
    from latbench.progress import Bars

    name, options = runtime
    backend = make_backend(name, **options)
    chosen = method or ("magnitude" if isinstance(backend, SimdSparse) else "channels")
    training = replace(TRAINING, epochs=settings.pop("epochs"))
    if chosen == "channels":
        for given, name in ((distillation, "--distillation"), (tables, "--tables")):
            if given:
                raise UsageError(f"{name} is for groups of weights; leave it out with channels")
        return prune_model(
            PruneJob(**settings, **of_channels, training=training), backend, out, Bars()
        )
    if chosen not in ("magnitude", "admm"):
        raise UsageError(f"--method is {chosen!r}; take channels, magnitude or admm")
    if not isinstance(backend, SimdSparse):
        raise UsageError(
            f"--method {chosen} prunes groups of weights, which make nothing faster on {name}; "
            "take --backend simd-sparse, or --method channels"
        )
    job = SparseJob(
        **settings, distillation=distillation, training=training, tables=str(tables or ""),
        method="admm" if chosen == "admm" else "magnitude",
    )  # fmt: skip
    return prune_groups(job, backend, out, Bars())


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
