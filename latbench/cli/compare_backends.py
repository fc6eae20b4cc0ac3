"""``latbench compare-backends``: the same architectures on every backend that is ready here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    JsonOption,
    PageOption,
    RetryNoisyOption,
    SeedOption,
    StoreOption,
    StoreSpaceOption,
    interruptible,
    milliseconds,
    open_store,
    show,
)
from latbench.cli.measuring import widest
from latbench.cli.model_options import InputOption, OnnxOption, ShapeOption
from latbench.cli.naming_models import onnx_models
from latbench.cli.stores import say_concerns
from latbench.errors import UsageError
from latbench.progress import messages
from latbench.text import ABSENT, percent

if TYPE_CHECKING:
    from latbench.campaign import CampaignOptions, CampaignOutcome
    from latbench.models import Model
    from latbench.store import Store
    from latbench.store.dataset import LatencyDataset

_SAMPLED = 20

HowMany = Annotated[
    int | None,
    typer.Option(
        "-n", min=3, help="How many sampled architectures.  \\[default: 20, without --onnx]"
    ),
]
OnlyBackends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        help="Only this one; repeatable. The first is what others are compared with.",
        autocompletion=completing.backends,
    ),
]


def compare_backends(
    space: StoreSpaceOption = None,
    store: StoreOption = Path("latbench.sqlite"),
    n: HowMany = None,
    onnx: OnnxOption = None,
    shape: ShapeOption = None,
    inputs: InputOption = None,
    seed: SeedOption = 0,
    backend: OnlyBackends = None,
    out: PageOption = None,
    retry_noisy: RetryNoisyOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Time the same architectures on all ready backends: rank correlations and speed-ups.

    With --onnx the networks of files, each beside what it takes on the others. Backends that
    compile or lower every network (torch-compile, executorch, tensorrt) take long; run it again to
    go on where it stopped.
    """
    from latbench.backends import list_backends
    from latbench.campaign import CampaignOptions
    from latbench.comparison.rank_agreement import agreement

    names = list(dict.fromkeys(backend or [name for name, found in list_backends() if found.ready]))
    kept = f"every finished row is in {store}; the same command goes on from there"
    options = CampaignOptions(retry_noisy=widest(retry_noisy))
    if onnx and (n is not None or out is not None):
        raise UsageError("--onnx compares files, not a sample, and has no page; leave -n and --out "
                         "out")  # fmt: skip
    files = onnx_models(onnx, shape, inputs)
    if files:
        with open_store(store, space) as opened, interruptible(kept):
            rows = [row for name in names for row in _timed(opened, name, files, options)]
        _show_files(rows, names, as_json)
        return
    with open_store(store, space) as opened, interruptible(kept):
        datasets = [_measured(opened, name, n or _SAMPLED, seed, options) for name in names]
        found = agreement(datasets)
        say_concerns(opened.sets())
    rows = [
        {
            "backend": name,
            "median_latency_s": found.median_s[i],
            "speedup": found.speedup[i],
            "noise_floor": datasets[i].noise_floor,
            "spearman": {other: float(found.spearman[i, j]) for j, other in enumerate(names)},
        }
        for i, name in enumerate(names)
    ]
    if out is not None:
        from latbench.cli.pages import write_page

        write_page(out, "The same architectures on several backends", [(d, ()) for d in datasets])
    _show_sample(rows, names, f"{len(found.shared)} architectures", as_json)


def _show_sample(
    rows: list[dict[str, Any]], names: Sequence[str], what: str, as_json: bool
) -> None:
    """Shows each backend's median, floor and rank correlations with the others."""
    if as_json:
        show(rows, as_json)
        return
    flat = [row | {f"Spearman {k}": v for k, v in row["spearman"].items()} for row in rows]
    columns: dict[str, Callable[..., str]] = {
        "backend": str, "median_latency_s": milliseconds, "noise_floor": percent,
        "speedup": "{:.2f} x".format,
    }  # fmt: skip
    columns |= dict.fromkeys((f"Spearman {name}" for name in names), "{:.3f}".format)
    show(flat, as_json, f"{what}; speed-up over {names[0]}", columns)


def _measured(
    store: Store, name: str, n: int, seed: int, options: CampaignOptions
) -> LatencyDataset:
    """Measures what is missing of the sample on one backend, and returns the sample's rows."""
    outcome = _campaign(store, name, options, n=n, seed=seed)
    if outcome.failed:
        messages.print(f"{name}: {outcome.failed} rows failed", style="yellow")
    return store.dataset(set_id=outcome.set_id)


def _campaign(store: Store, name: str, options: CampaignOptions, **wanted: Any) -> CampaignOutcome:
    from latbench.backends import make_backend
    from latbench.campaign import run_campaign
    from latbench.progress import Bars, of_campaign

    with Bars().bar(name) as step:
        return run_campaign(
            store, make_backend(name), options=options, report=of_campaign(step), **wanted
        )


def _timed(
    store: Store, name: str, files: list[Model], options: CampaignOptions
) -> list[dict[str, Any]]:
    """Measures files on one backend: for each its latency, or why there is none."""
    outcome = _campaign(store, name, options, models=files)
    reasons = store.failures(outcome.set_id)
    return [
        {
            "model": model.name,
            "text": str(model),
            "backend": name,
            "latency_s": store.value(outcome.set_id, str(model)),
            "reason": reasons.get(str(model)),
        }
        for model in files
    ]


def _show_files(rows: list[dict[str, Any]], names: list[str], as_json: bool) -> None:
    """Shows what each file takes on each backend, over the first one that runs it; exit code 1 when
    none runs any."""
    first: dict[str, float] = {}
    for row in rows:
        if row["latency_s"] is not None:
            base = first.setdefault(row["text"], row["latency_s"])
        row["speedup"] = None if row["latency_s"] is None else base / row["latency_s"]
    for row in rows if not as_json else ():
        if row["reason"]:
            said = f"{row['model']} on {row['backend']}: {row['reason']}"
            messages.print(said, style="yellow", soft_wrap=True)
    columns: dict[str, Callable[..., str]] = {
        "model": str, "backend": str, "latency_s": milliseconds,
        "speedup": lambda times: ABSENT if times is None else f"{times:.2f} x",
    }  # fmt: skip
    rows.sort(key=lambda row: list(first).index(row["text"]) if row["text"] in first else len(rows))
    show(rows, as_json, "The same files; speed-up over the first backend that runs them", columns)
    if not first:
        raise typer.Exit(1)  # every row failed, and the reasons are above


COMMANDS = (compare_backends,)
