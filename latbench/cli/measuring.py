"""``latbench backends`` and ``measure``: timing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from latbench.cli.rounds import active as measure_rounds
from latbench.cli.rounds import kept, parse_share
from latbench.cli.stores import StoreArgument, say_bias, show_sets
from latbench.cli.tables import Styled
from latbench.errors import UsageError
from latbench.report.text import plural

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.campaign import CampaignOutcome
    from latbench.fleet import FleetOutcome
    from latbench.spaces import AnySpace
    from latbench.store import Store


RetestOption = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="Timed twice, for the noise floor (0.1 or 10%); at least five networks unless 0.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="SHARE",
        help="Precision of each measurement, not of a predictor: wanted relative half-width of its "
        "95 % interval (0.01 or 1%).",
    ),
]
RetryNoisyOption = Annotated[
    str | None,
    typer.Option(
        "--retry-noisy",
        metavar="SHARE",
        help="Measure rows again whose 95 % interval is wider than ± this (as 5%); the narrower "
        "one of the two stays.",
    ),
]


ParityOption = Annotated[
    bool,
    typer.Option(
        "--parity/--no-parity",
        help="Compare every network's output with torch's before it is timed.",
    ),
]


def widest(share: str | None) -> float:
    """What ``--retry-noisy`` says, as ``CampaignOptions.retry_noisy``."""
    return math.inf if share is None else parse_share(share)


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
        "ready": lambda ready: Styled("yes", "green") if ready else Styled("no", "red"),
        "version": str,
        "note": str,
    }
    show(rows, as_json, columns=columns)


def measure(
    space: SpaceOption = "darts",
    backend: BackendOption = "onnxruntime",
    store: StoreOption = Path("latbench.sqlite"),
    n: Annotated[int, typer.Option("-n", min=1, help="How many sampled architectures.")] = 200,
    seed: SeedOption = 0,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Backend option key=value; repeatable.")
    ] = None,
    architecture: Annotated[
        list[str] | None,
        typer.Option("--architecture", help="Measure this one instead of a sample; repeatable."),
    ] = None,
    retest: RetestOption = "10%",
    target: PrecisionOption = "1%",
    energy: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Also run each network this long to measure its energy (latbench\\[energy]).",
        ),
    ] = 0.0,
    active: Annotated[
        bool,
        typer.Option(
            "--active",
            help="Measure in rounds what an ensemble disagrees on most; docs/sampling.md.",
        ),
    ] = False,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of --active.")] = 4,
    space_filling: Annotated[
        bool,
        typer.Option("--space-filling", help="Measure architectures that cover the space."),
    ] = False,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Load ahead in a second worker: faster, may disturb."),
    ] = False,
    pause: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Idle before every visit, as many applications are; part of the set's protocol.",
        ),
    ] = 0.0,
    parity: ParityOption = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Measure failed rows again.")
    ] = False,
    retry_noisy: RetryNoisyOption = None,
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
    from latbench.campaign import CampaignOptions
    from latbench.protocol import Protocol
    from latbench.spaces import parse_space
    from latbench.store import Store

    chosen_space = parse_space(space)
    outcome: CampaignOutcome | FleetOutcome
    chosen = make_backend(backend, **parse_options(option or ()))
    if ray is None:
        require(chosen)
    named = [chosen_space.parse(text) for text in architecture or ()]
    _one_way_to_choose(active, space_filling, bool(named), ray is not None)
    settings: dict[str, Any] = {
        "seed": seed,
        "protocol": Protocol(target=parse_share(target), pause_s=pause),
        "options": CampaignOptions(
            retest=parse_share(retest, ends=True),
            energy_s=energy,
            overlap=overlap,
            retry_noisy=widest(retry_noisy),
            parity=parity,
        ),
        "retry_failed": retry_failed,
    }
    with Store(store, chosen_space) as opened:
        if active:
            outcome = measure_rounds(opened, chosen, n=n, rounds=rounds, **settings)
        else:
            chosen_ones = _chosen(opened.space, seed, n, named, space_filling)
            outcome = _in_one_go(opened, chosen, ray, {**settings, **chosen_ones})
        filled = [s for s in opened.sets() if s.id in outcome.set_ids]
    console.print(
        f"{outcome.measured} rows measured, {outcome.failed} failed, {outcome.already_there} were "
        f"there already; {outcome.seconds:.0f} s"
    )
    for found in filled:
        held = f"{plural(found.ok, 'architecture')}, {plural(found.networks, 'different network')}"
        console.print(f"set {found.id} holds {held}")
    show_sets(store, as_json=False)
    if not any(s.ok for s in filled):
        raise typer.Exit(1)  # every row failed, and the reasons are above


def _one_way_to_choose(active: bool, space_filling: bool, named: bool, fleet: bool) -> None:
    """Raises UsageError for options that contradict each other."""
    if active + space_filling + named > 1:
        raise UsageError("--active, --space-filling and --architecture exclude each other")
    if fleet and (active or space_filling):
        raise UsageError("a fleet measures a random sample: leave --active, --space-filling out")


def _chosen(
    space: AnySpace, seed: int, n: int, named: list[Any], space_filling: bool
) -> dict[str, Any]:
    """What to measure, as arguments of ``run_campaign``."""
    from latbench.campaign.rounds import space_filling_indices

    if named:
        return {"architectures": named}
    return {"indices": space_filling_indices(space, seed, n)} if space_filling else {"n": n}


def _in_one_go(
    store: Store, backend: Backend, ray: str | None, settings: dict[str, Any]
) -> CampaignOutcome | FleetOutcome:
    from latbench.backends import backend_spec
    from latbench.campaign import run_campaign
    from latbench.cli.bars import Bars, campaign

    measuring = run_campaign if ray is None else _on_fleet(ray)
    with interruptible(kept(store)), Bars().bar(backend_spec(backend)[0]) as step:
        return measuring(store, backend, **settings, report=campaign(step))


def _on_fleet(address: str) -> Callable[..., CampaignOutcome | FleetOutcome]:
    """``run_campaign`` on a Ray cluster, which says what it lost and who measured how much."""
    from latbench.fleet import run_fleet

    def measuring(store: Store, backend: Backend, **options: Any) -> FleetOutcome:
        warn = functools.partial(messages.print, style="yellow", soft_wrap=True)
        outcome = run_fleet(store, backend, address, notice=warn, **options)
        for host, rows in sorted(outcome.rows_by_host.items()):
            console.print(f"{host}: {rows} rows")
        return outcome

    return measuring


def recheck(
    store: StoreArgument,
    set_id: Annotated[
        int | None, typer.Option("--set", help="Number of the set, where there are several.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", help="The set of this backend.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n", min=1, help="So many architectures of all sizes, not only the sentinels."
        ),
    ] = None,
    parity: ParityOption = True,
) -> None:
    """Time a set's sentinels again, on any later day: what its figures are off by by then."""
    from latbench.campaign import CampaignOptions
    from latbench.campaign.recheck import recheck as check_again
    from latbench.cli.bars import Bars, campaign
    from latbench.store import Store

    with Store(store) as opened:
        name = opened.find_set(backend, set_id).set.backend
        with interruptible(kept(opened)), Bars().bar(name) as step:
            outcome = check_again(
                opened, backend=backend, set_id=set_id, n=n,
                options=CampaignOptions(parity=parity), report=campaign(step),
            )  # fmt: skip
        found = opened.find_set(set_id=outcome.set_id)
    console.print(
        f"{outcome.measured} rows measured again, {outcome.failed} failed; {outcome.seconds:.0f} s"
    )
    show_sets(store, as_json=False)
    say_bias(found)


COMMANDS = (backends, measure, recheck)
