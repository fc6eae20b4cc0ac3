"""``latbench compare-backends``: the same architectures on every backend that is ready here."""

from __future__ import annotations

from collections.abc import Callable
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
from latbench.cli.stores import say_concerns
from latbench.progress import messages
from latbench.text import percent

if TYPE_CHECKING:
    from latbench.campaign import CampaignOptions
    from latbench.store import Store
    from latbench.store.dataset import LatencyDataset


def compare_backends(
    space: StoreSpaceOption = None,
    store: StoreOption = Path("latbench.sqlite"),
    n: Annotated[int, typer.Option("-n", min=3, help="How many sampled architectures.")] = 20,
    seed: SeedOption = 0,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", help="Only this one; repeatable. The first is what others are "
                     "compared with.", autocompletion=completing.backends),
    ] = None,
    out: PageOption = None,
    retry_noisy: RetryNoisyOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Time the same architectures on all ready backends: rank correlations and speed-ups.

    Backends that compile or lower every network (torch-compile, executorch, tensorrt) take long;
    run it again to go on where it stopped.
    """
    from latbench.backends import list_backends
    from latbench.campaign import CampaignOptions
    from latbench.comparison.rank_agreement import agreement

    names = list(dict.fromkeys(backend or [name for name, found in list_backends() if found.ready]))
    kept = f"every finished row is in {store}; the same command goes on from there"
    with open_store(store, space) as opened, interruptible(kept):
        options = CampaignOptions(retry_noisy=widest(retry_noisy))
        datasets = [_measured(opened, name, n, seed, options) for name in names]
        found = agreement(datasets)
        say_concerns(opened.sets())
    rows: list[dict[str, Any]] = [
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
    if as_json:
        show(rows, as_json)
        return
    flat = [row | {f"Spearman {k}": v for k, v in row["spearman"].items()} for row in rows]
    columns: dict[str, Callable[..., str]] = {
        "backend": str, "median_latency_s": milliseconds, "noise_floor": percent,
        "speedup": "{:.2f} x".format,
    }  # fmt: skip
    columns |= dict.fromkeys((f"Spearman {name}" for name in names), "{:.3f}".format)
    show(flat, as_json, f"{len(found.shared)} architectures; speed-up over {names[0]}", columns)


def _measured(
    store: Store, name: str, n: int, seed: int, options: CampaignOptions
) -> LatencyDataset:
    """Measures what is missing of the sample on one backend, and returns the sample's rows."""
    from latbench.backends import make_backend
    from latbench.campaign import run_campaign
    from latbench.progress import Bars, of_campaign

    with Bars().bar(name) as step:
        outcome = run_campaign(
            store, make_backend(name), n=n, seed=seed, options=options, report=of_campaign(step)
        )
    if outcome.failed:
        messages.print(f"{name}: {outcome.failed} rows failed", style="yellow")
    return store.dataset(set_id=outcome.set_id)


COMMANDS = (compare_backends,)
