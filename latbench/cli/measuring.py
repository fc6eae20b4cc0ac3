"""``latbench backends`` and ``measure``: timing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from latbench.cli.common import (
    BackendOption,
    JsonOption,
    SeedOption,
    SpaceOption,
    StoreOption,
    console,
    interruptible,
    messages,
    parse_options,
    show,
)
from latbench.cli.stores import show_sets

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.campaign import CampaignOutcome
    from latbench.fleet import FleetOutcome
    from latbench.store import Store


def backends(as_json: JsonOption = False) -> None:
    """List the backends, on CUDA too: what is ready here, what is missing and how to get it."""
    from latbench.backends import list_variants

    rows: list[dict[str, Any]] = [
        {
            "backend": " ".join([name, *(f"{key}={value}" for key, value in options.items())]),
            "ready": found.ready,
            "version": found.version,
            "note": found.reason + (f"; {found.remedy}" if found.remedy else ""),
        }
        for name, options, found in list_variants()
    ]
    columns: dict[str, Callable[..., str]] = {
        "backend": str,
        "ready": lambda ready: "[green]yes[/]" if ready else "[red]no[/]",
        "version": str,
        "note": escape,  # 'latbench[cuda]' is no markup
    }
    show(rows, as_json, columns=columns)


def measure(
    space: SpaceOption = "darts",
    backend: BackendOption = "onnxruntime",
    store: StoreOption = Path("latbench.sqlite"),
    n: Annotated[int, typer.Option("-n", help="How many sampled architectures.")] = 200,
    seed: SeedOption = 0,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Backend option key=value; repeatable.")
    ] = None,
    architecture: Annotated[
        list[str] | None,
        typer.Option("--architecture", help="Measure this one instead of a sample; repeatable."),
    ] = None,
    retest: Annotated[float, typer.Option(min=0, max=1, help="Share timed twice.")] = 0.1,
    target: Annotated[
        float, typer.Option(help="Wanted relative half-width of the 95 % interval.")
    ] = 0.01,
    energy: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Also run each network this long to measure its energy (latbench[energy]).",
        ),
    ] = 0.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Measure failed rows again.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Measure on every device of this Ray cluster (HOST:PORT or auto); docs/fleet.md.",
        ),
    ] = None,
) -> None:
    """Time architectures on a backend into a store. Run it again to go on where it stopped."""
    from latbench.backends import make_backend, require
    from latbench.campaign import CampaignOptions, run_campaign
    from latbench.cli.bars import Bars
    from latbench.protocol import Protocol
    from latbench.spaces import parse_space
    from latbench.store import Store

    chosen_space = parse_space(space)
    chosen = make_backend(backend, **parse_options(option or ()))
    if ray is None:
        require(chosen)
    named = [chosen_space.parse(text) for text in architecture or ()]
    protocol = Protocol(target=target)
    kept = f"every finished row is in {store}; the same command goes on from there"
    with Store(store, chosen_space) as opened, interruptible(kept), Bars().bar(backend) as step:
        measuring = run_campaign if ray is None else _on_fleet(ray)
        outcome = measuring(
            opened,
            chosen,
            n=None if named else n,
            seed=seed,
            architectures=named,
            protocol=protocol,
            options=CampaignOptions(retest=retest, energy_s=energy),
            report=lambda p: step(p.done, p.total, f"{p.failed} failed" if p.failed else ""),
            retry_failed=retry_failed,
        )
    console.print(
        f"{outcome.measured} rows measured, {outcome.failed} failed, {outcome.already_there} were "
        f"there already; {outcome.seconds:.0f} s"
    )
    show_sets(store, as_json=False)
    _warn_of_throttling(store)


def _warn_of_throttling(path: Path) -> None:
    """Says in which sets clocks were held down: their latencies are not the device's best."""
    from latbench.store import Store

    with Store(path) as store:
        for found in store.sets():
            for reason, rows in found.throttled.items():
                messages.print(
                    f"set {found.id}: clocks were held down in {rows} rows ({reason}); give the "
                    "device cooling or power, or fix its clocks, and measure again",
                    style="yellow", markup=False, soft_wrap=True,
                )  # fmt: skip


def _on_fleet(address: str) -> Callable[..., CampaignOutcome | FleetOutcome]:
    """``run_campaign`` on a Ray cluster, which says what it lost and who measured how much."""
    from latbench.fleet import run_fleet

    def measuring(store: Store, backend: Backend, **options: Any) -> FleetOutcome:
        warn = functools.partial(messages.print, style="yellow", markup=False, soft_wrap=True)
        outcome = run_fleet(store, backend, address, notice=warn, **options)
        for host, rows in sorted(outcome.rows_by_host.items()):
            console.print(f"{host}: {rows} rows", markup=False, highlight=False)
        return outcome

    return measuring


COMMANDS = (backends, measure)
