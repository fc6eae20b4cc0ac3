"""``latbench profile``: where the time of one network goes, kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    BackendOption,
    BackendOptions,
    JsonOption,
    ParityOption,
    PlotOption,
    console,
    interruptible,
    milliseconds,
    parse_options,
    print_json,
    show,
)
from latbench.cli.model_options import (
    InputOption,
    OneArchitectureOption,
    OneNetworkOption,
    ShapeOption,
)
from latbench.cli.naming_models import NamedFiles, NamedModel, one_model
from latbench.errors import UsageError
from latbench.progress import messages
from latbench.text import ABSENT, plural, short_percent

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.predictors.layer_shares import PredictedNetwork
    from latbench.predictors.model import LatencyModel
    from latbench.profiling import NetworkProfile

# Beyond this share of the whole, the profile's own time is worth a sentence, and so is a visit
# beyond this multiple of another one.
_MUCH = 1.1
# A process that is kept waiting for more of its time has its whole runs disturbed, not its kernels.
_WAITED = 0.05

ProfiledModel = Annotated[
    Path | None,
    typer.Option("--model", metavar="FOLDER", help="The model that is saved in this folder."),
]
ProfiledFile = Annotated[
    Path | None,
    typer.Option("--onnx", metavar="FILE", help="The network of this ONNX file."),
]
ProfiledSpace = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="The space of the architecture.  \\[default: the predictor's]",
        autocompletion=completing.spaces,
    ),
]
BesideOption = Annotated[
    Path | None,
    typer.Option(
        "--predictor", metavar="FOLDER",
        help="Also what the predictor fitted into this folder says (`latbench fit`).",
    ),
]  # fmt: skip


def profile(
    network: OneNetworkOption = None,
    model: ProfiledModel = None,
    onnx: ProfiledFile = None,
    shape: ShapeOption = None,
    inputs: InputOption = None,
    architecture: OneArchitectureOption = None,
    space: ProfiledSpace = None,
    backend: BackendOption = "onnxruntime",
    option: BackendOptions = None,
    predictor: BesideOption = None,
    visits: Annotated[
        int, typer.Option(min=1, help="So many times; each kernel's time is their median.")
    ] = 5,
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs of a visit.  \\[default: as many as fit in 0.2 s]"),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Show only the so many slowest kernels.")
    ] = None,
    parity: ParityOption = True,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Tell what each kernel of a runtime takes in one network, and which layers are in it.

    The times are the runtime's own profile; beside their sum stands the network timed without.
    """
    from latbench.backends import make_backend, require
    from latbench.predictors.model import LatencyModel
    from latbench.profiling import ProfileRuns, profile_network
    from latbench.progress import Bars, of_campaign
    from latbench.spaces import parse_space

    if plot is not None and not plot.parent.is_dir():  # before anything is timed
        raise UsageError(f"there is no folder {plot.parent} for {plot.name}; make it first")
    chosen = make_backend(backend, **parse_options(option or ()))
    loaded = None if predictor is None else LatencyModel.load(predictor)
    known = None if loaded is None else loaded.space
    files = NamedFiles([onnx] if onnx else None, shape, inputs)
    named = one_model(
        model, network, architecture, parse_space(space) if space is not None else known, files
    )
    require(chosen)
    prediction = None if loaded is None else _predicted(loaded, named, chosen)
    with interruptible("a profile is kept nowhere"), Bars().bar(f"profile {backend}") as step:
        found = profile_network(
            named.model, chosen, ProfileRuns(visits, runs), prediction=prediction, parity=parity,
            report=of_campaign(step),
        )  # fmt: skip
    if plot is not None:
        from latbench.report.charts.profile_charts import profile_chart
        from latbench.report.picture import save_picture

        save_picture(profile_chart(found), plot)
    if as_json:
        print_json(as_json_values(found, top))
    else:
        _show(found, top)


def _predicted(model: LatencyModel, named: NamedModel, backend: Backend) -> PredictedNetwork:
    """What the predictor says; a sentence where it was fitted on something else."""
    from latbench.predictors.layer_shares import predict_network

    of, here = (model.card.backend, model.card.device), (backend.name, backend.device_name())
    for fitted, used in zip(of, here, strict=True):
        if fitted != used:
            messages.print(
                f"the predictor was fitted on {fitted}, and this is {used}: what it says is of "
                "something else",
                style="yellow", soft_wrap=True,
            )  # fmt: skip
    same = named.architecture is not None and named.architecture.space == model.space
    return predict_network(
        model, named.model.network, named.architecture if same else None
    )  # fmt: skip


def as_json_values(found: NetworkProfile, top: int | None = None) -> dict[str, Any]:
    """Returns a profile as JSON values, times in seconds; only the ``top`` slowest kernels where it
    is a number."""
    values: dict[str, Any] = {
        "model": found.model, "backend": found.backend, "options": found.options,
        "device": found.device, "version": found.version, "visits": found.visits,
        "runs": found.runs, "latency_s": found.whole_s, "latency_s_low": found.whole_low_s,
        "latency_s_high": found.whole_high_s, "waited_share": found.waited_share,
        "kernels_s": found.sum_s,
        "kernels_share": found.sum_share,
    }  # fmt: skip
    if found.prediction is not None:
        values["predicted_s"] = found.prediction.whole_s
        values["predicted_besides_s"] = found.prediction.besides_s
    places = {id(kernel): place for place, kernel in enumerate(found.kernels, 1)}
    values["kernels"] = [
        {
            "place": places[id(kernel)], "kernel": kernel.name, "layers": list(kernel.layers),
            "does": list(kernel.words), "kind": kernel.kind, "latency_s": kernel.latency_s,
            "latency_s_low": kernel.low_s, "latency_s_high": kernel.high_s,
            "share": kernel.latency_s / found.sum_s, "predicted_s": kernel.predicted_s,
        }
        for kernel in found.slowest(top)
    ]  # fmt: skip
    values["kinds"] = [
        {
            "kind": one.kind, "kernels": one.kernels, "latency_s": one.latency_s,
            "share": one.latency_s / found.sum_s, "predicted_s": one.predicted_s,
        }
        for one in found.kinds
    ]  # fmt: skip
    return values


def _show(found: NetworkProfile, top: int | None) -> None:
    """Prints the kernels, their kinds, and their sum beside the whole."""
    values = as_json_values(found, top)
    figures: dict[str, Callable[..., str]] = {"latency_s": milliseconds, "share": short_percent}
    if found.prediction is not None and found.prediction.layers_s is not None:
        figures["predicted_s"] = milliseconds
    columns: dict[str, Callable[..., str]] = {
        "place": str, "kernel": str, "layers": layers_text, "does": _does, **figures,
    }  # fmt: skip
    which = "" if top is None else f", the {len(values['kernels'])} slowest"
    title = f"{found.model.partition('@')[0]} on {found.backend}: kernels as they run{which}"
    show(values["kernels"], False, title, columns)
    show(values["kinds"], False, "kinds of layers", {"kind": str, "kernels": str, **figures})
    say_sums(found)


def layers_text(layers: list[int]) -> str:
    """Writes indices of layers, neighbours as a range.

    >>> layers_text([1, 2, 3, 6]), layers_text([])
    ('1-3 6', '–')
    """
    ranges: list[list[int]] = []
    for i in layers:
        if ranges and i == ranges[-1][1] + 1:
            ranges[-1][1] = i
        else:
            ranges.append([i, i])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) or ABSENT


def _does(words: list[str]) -> str:
    """Writes what a kernel's layers do, alike ones once."""
    return ", ".join(dict.fromkeys(words)) or ABSENT


def say_sums(found: NetworkProfile) -> None:
    """Says what the kernels add up to beside the whole, and what a predictor says of the whole."""
    console.print(
        f"The whole network takes {milliseconds(found.whole_s)} without profiling; its "
        f"{plural(len(found.kernels), 'kernel')} add up to {milliseconds(found.sum_s)}, "
        f"{short_percent(found.sum_share)} of it (medians of {plural(found.visits, 'visit')} of "
        f"{plural(found.runs, 'run')}).",
        soft_wrap=True,
    )
    if found.waited_share > _WAITED or found.whole_high_s > _MUCH * found.whole_low_s:
        messages.print(
            "the machine was busy: the process was kept waiting "
            f"{short_percent(found.waited_share)} of the time, and the whole took "
            f"{milliseconds(found.whole_low_s)} in one visit and "
            f"{milliseconds(found.whole_high_s)} in another; that lengthens whole runs more than "
            "kernels, so do not compare their sum with the whole, and profile again when nothing "
            "else runs",
            style="yellow", soft_wrap=True,
        )  # fmt: skip
    if found.sum_share > _MUCH:
        besides = (found.sum_s - found.whole_s) / len(found.kernels)
        console.print(
            f"Profiling takes time of its own, {besides * 1e6:.1f} µs a kernel on average: short "
            "kernels look longer than they are.",
            soft_wrap=True,
        )
    if (said := found.prediction) is None:
        return
    text = f"Predicted are {milliseconds(said.whole_s)}"
    if said.layers_s is None:
        text += ", by a predictor that is no sum over layers, so that it says nothing of each"
    else:
        text += f", of which {milliseconds(said.besides_s)} belong to no layer"
    console.print(f"{text}.", soft_wrap=True)


COMMANDS = (profile,)
