"""``latbench search``: one search with a fitted predictor as its penalty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from latbench.cli.common import (
    JsonOption,
    interruptible,
    parse_options,
    percent,
    show,
)


def search(
    model: Annotated[Path, typer.Option("--model", help="Folder of a fitted predictor.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoints and the result.")],
    penalty_weight: Annotated[
        float, typer.Option("--penalty-weight", min=0, help="λ; 0 is plain DARTS.")
    ] = 0.5,
    data: Annotated[
        str, typer.Option("--data", help="digits, mnist5k, a folder or an .npz file.")
    ] = "digits",
    setting: Annotated[
        list[str] | None,
        typer.Option("--setting", help="Search setting key=value, e.g. epochs=20; repeatable."),
    ] = None,
    train_epochs: Annotated[
        int, typer.Option("--train-epochs", min=0, help="Train what was found; 0 leaves it out.")
    ] = 0,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Refuse a predictor of another metric than this.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="Architecture whose cost λ is relative to."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search an architecture that pays for its latency, or for what else the predictor predicts.

    Run it again to go on where it stopped.
    """
    from latbench.cli.bars import Bars
    from latbench.errors import UsageError
    from latbench.experiment.config import checked
    from latbench.experiment.results import result_json
    from latbench.experiment.searching import load_data, search_and_train
    from latbench.files import write_json
    from latbench.metric import parse_metric
    from latbench.predictors.model import LatencyModel
    from latbench.search.config import SearchConfig, TrainConfig, check_searchable

    loaded = LatencyModel.load(model)
    if metric is not None and parse_metric(metric) != loaded.metric:
        raise UsageError(
            f"the predictor in {model} is of metric {loaded.metric.name!r}, not {metric!r}; fit "
            f"one with `latbench fit --metric {metric} --out FOLDER`"
        )
    space = loaded.space
    given = parse_options(setting or ()) | {"penalty_weight": penalty_weight}
    settings = checked(SearchConfig, given, "--setting")
    check_searchable(space.name, settings.method)
    images = load_data(data, space)
    anchor = space.parse(reference) if reference else space.reference()
    training = TrainConfig(epochs=train_epochs) if train_epochs else None
    kept = f"the last epoch is in {out}; the same command goes on from there"
    with interruptible(kept):
        result = search_and_train(
            space, images, loaded, settings, training, float(loaded.predict([anchor])[0]), out,
            Bars(),
        )  # fmt: skip
    write_json(out / "result.json", {"result": result_json(result)})
    row: dict[str, Any] = {
        "architecture": result.architecture,
        loaded.metric.predicted_key: result.predicted,
        "accuracy": result.accuracy,
        "parameters": result.parameters,
        "macs": result.macs,
    }
    writers: dict[str, Callable[..., str]] = {
        "architecture": str,
        loaded.metric.predicted_key: loaded.metric.show,
        "accuracy": percent,
        "parameters": "{:,}".format,
        "macs": "{:,}".format,
    }
    show([row], as_json, columns=writers)


COMMANDS = (search,)
