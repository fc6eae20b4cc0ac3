"""``latbench backends``, ``measure``, ``measure-actively`` and ``recheck``: timing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli.answers.measured_answers import (
    Outcome,
    PercentilesOption,
    Tell,
    asked_for,
    conclude,
    teller,
)
from latbench.cli.answers.measured_tables import check_tables, measure_tables
from latbench.cli.answers.sweeps import SweepOption, SweepPlotOption, read_sweep
from latbench.cli.common import (
    BackendOption,
    BackendOptions,
    HalfWidthOption,
    JsonOption,
    ParityOption,
    RetestOption,
    RetryNoisyOption,
    SeedOption,
    StoreOption,
    StoreSpaceOption,
    console,
    interruptible,
    open_store,
    parse_options,
    show,
)
from latbench.cli.model_options import InputOption, OnnxOption, ShapeOption
from latbench.cli.naming_models import named_models, onnx_models
from latbench.cli.networks_command import NetworkOption
from latbench.cli.rich_tables import Styled
from latbench.cli.round_bars import active as measure_rounds
from latbench.cli.round_bars import kept, parse_share
from latbench.cli.stores import StoreArgument, say_bias, show_sets
from latbench.errors import UsageError
from latbench.progress import messages

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.campaign import CampaignOutcome
    from latbench.fleet import FleetOutcome
    from latbench.spaces import AnySpace
    from latbench.store import Store

ArchitecturesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Architectures to measure; a name such as DARTS_V2 works too. None: a sample.",
        show_default=False,
    ),
]
ChooseOption = Annotated[
    str,
    typer.Option(
        metavar="random|space-filling",
        help="How the sample is chosen: at random, or so that it covers the space.",
    ),
]
EnergyOption = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Also run each network this long to measure its energy (latbench\\[energy]).",
    ),
]
OverlapOption = Annotated[
    bool, typer.Option("--overlap", help="Load ahead in a second worker: faster, may disturb.")
]
PauseOption = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Idle before every visit, as many applications are; part of the set's protocol.",
    ),
]
ModelOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--model", metavar="FOLDER",
        help="Also measure the model saved in this folder, of the space or not; repeatable.",
    ),
]  # fmt: skip
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS",
        help="Measure on every device of this Ray cluster (HOST:PORT or auto); docs/fleet.md.",
    ),
]  # fmt: skip
SampledOption = Annotated[
    int | None,
    typer.Option(
        "-n",
        min=0,
        help="How many sampled architectures.  \\[default: 200, or 0 beside named ones]",
    ),
]
TablesOption = Annotated[
    bool,
    typer.Option(
        "--tables",
        help="Also measure the latency table of each model's network, by which it is predicted "
        "and pruned (simd-sparse).",
    ),
]
RetryFailedOption = Annotated[
    bool, typer.Option("--retry-failed", help="Measure failed rows again.")
]


def widest(share: str | None) -> float:
    """Reads the text of ``--retry-noisy`` as ``CampaignOptions.retry_noisy``; infinite for None."""
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
    architectures: ArchitecturesArgument = None,
    space: StoreSpaceOption = None,
    backend: BackendOption = "onnxruntime",
    store: StoreOption = Path("latbench.sqlite"),
    n: SampledOption = None,
    model: ModelOption = None,
    network: NetworkOption = None,
    onnx: OnnxOption = None,
    shape: ShapeOption = None,
    inputs: InputOption = None,
    seed: SeedOption = 0,
    choose: ChooseOption = "random",
    option: BackendOptions = None,
    retest: RetestOption = "10%",
    half_width: HalfWidthOption = "1%",
    energy: EnergyOption = 0.0,
    overlap: OverlapOption = False,
    pause: PauseOption = 0.0,
    parity: ParityOption = True,
    retry_failed: RetryFailedOption = False,
    retry_noisy: RetryNoisyOption = None,
    tables: TablesOption = False,
    ray: RayOption = None,
    percentiles: PercentilesOption = False,
    sweep: SweepOption = None,
    plot: SweepPlotOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Time architectures on a backend into a store. Run it again to go on where it stopped.

    Of named networks it says latency, percentiles, throughput and costs, and which is faster.
    """
    from latbench.backends import make_backend, require

    given = parse_options(option or ())
    chosen = make_backend(backend, **given)
    beside = {"-n": bool(n), "--tables": tables, "--ray": ray is not None}
    swept = read_sweep(sweep, chosen, given, plot, beside)
    if tables:
        check_tables(chosen, ray, bool(model or network or onnx))
    if ray is None:
        require(chosen)
    sampled = _sampled(n, bool(architectures or model or network or onnx), swept is not None)
    files = onnx_models(onnx, shape, inputs)
    settings = {"retry_failed": retry_failed} | campaign_settings(
        half_width, retest, pause, energy, overlap, retry_noisy, parity, percentiles
    )
    outcome: Outcome
    with open_store(store, space) as opened:
        models = [*named_models(model or (), network or ()), *files]  # the space's layers are known
        wanted = _wanted(opened.space, seed, sampled, architectures or (), choose)
        wanted |= {"models": models}
        if tables:
            measure_tables(opened, chosen, models, settings, as_json)
        if swept is not None:
            outcome, tell = swept.measure(opened, wanted, network or (), settings)
        else:
            outcome, tell = _in_one_go(opened, chosen, ray, settings, wanted, as_json)
    conclude(store, outcome, tell, as_json)


def _sampled(n: int | None, by_name: bool, swept: bool) -> int:
    """How many architectures are sampled; raises UsageError where nothing is to be measured."""
    sampled = n if n is not None else 0 if by_name or swept else 200
    if not (by_name or swept or sampled):
        raise UsageError("nothing to measure: name architectures, or give -n for a sample")
    return sampled


def measure_actively(
    space: StoreSpaceOption = None,
    backend: BackendOption = "onnxruntime",
    store: StoreOption = Path("latbench.sqlite"),
    n: Annotated[int, typer.Option("-n", min=1, help="How many architectures.")] = 200,
    rounds: Annotated[int, typer.Option(min=2, help="In so many rounds.")] = 4,
    seed: SeedOption = 0,
    option: BackendOptions = None,
    retest: RetestOption = "10%",
    half_width: HalfWidthOption = "1%",
    energy: EnergyOption = 0.0,
    overlap: OverlapOption = False,
    pause: PauseOption = 0.0,
    parity: ParityOption = True,
    retry_failed: RetryFailedOption = False,
    retry_noisy: RetryNoisyOption = None,
) -> None:
    """Time in rounds what an ensemble of predictors disagrees on most; docs/sampling.md.

    Run it again to go on where it stopped.
    """
    from latbench.backends import make_backend, require

    chosen = make_backend(backend, **parse_options(option or ()))
    require(chosen)
    settings = campaign_settings(half_width, retest, pause, energy, overlap, retry_noisy, parity)
    with open_store(store, space) as opened:
        outcome = measure_rounds(
            opened, chosen, n=n, rounds=rounds, seed=seed, retry_failed=retry_failed, **settings
        )
    conclude(store, outcome)


def campaign_settings(
    half_width: str, retest: str, pause: float = 0.0, energy: float = 0.0, overlap: bool = False,
    retry_noisy: str | None = None, parity: bool = True, percentiles: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Makes the protocol and the options of a campaign, as arguments of ``run_campaign``.

    Args:
        half_width: The wanted relative half-width of each 95 % interval, a text such as ``1%``.
        retest: The share of rows that is timed twice, a text such as ``10%``, ``0`` or ``1``.
        pause: The seconds of idleness before every visit.
        energy: The seconds that each network runs to measure its energy; 0 measures none.
        overlap: Whether a second worker loads ahead.
        retry_noisy: The half-width beyond which rows are measured again, a text such as ``5%``;
            None measures none again.
        parity: Whether every network's output is compared with torch's.
        percentiles: Whether each network is run often enough for all percentiles.

    Returns:
        The arguments ``protocol`` and ``options`` by their names.

    Raises:
        UsageError: For a text that is no share, and for what a protocol does not allow.
    """
    from latbench.campaign import CampaignOptions
    from latbench.timing.percentiles import with_percentiles
    from latbench.timing.protocol import Protocol

    protocol = Protocol(target=parse_share(half_width), pause_s=pause)
    return {
        "protocol": with_percentiles(protocol) if percentiles else protocol,
        "options": CampaignOptions(
            retest=parse_share(retest, ends=True),
            energy_s=energy,
            overlap=overlap,
            retry_noisy=widest(retry_noisy),
            parity=parity,
        ),
    }


def _wanted(
    space: AnySpace, seed: int, n: int, architectures: Iterable[str], choose: str
) -> dict[str, Any]:
    """What to measure, as arguments of ``run_campaign``."""
    from latbench.sampling.rounds import space_filling_indices

    if choose not in ("random", "space-filling"):
        raise UsageError(f"--choose must be 'random' or 'space-filling', got {choose!r}")
    named = [space.parse(text) for text in architectures]
    found: dict[str, Any] = {"seed": seed, "architectures": named}
    if n and choose == "space-filling":
        return {**found, "indices": space_filling_indices(space, seed, n)}
    return {**found, "n": n or None}


def _in_one_go(
    store: Store, backend: Backend, ray: str | None, settings: dict[str, Any],
    wanted: dict[str, Any], all_rows: bool,
) -> tuple[Outcome, Tell]:  # fmt: skip
    """Runs a campaign; what it found, and what tells it of the named networks or of all rows."""
    from latbench.backends import backend_spec
    from latbench.campaign import run_campaign
    from latbench.progress import Bars, of_campaign

    asked = asked_for(store.space, wanted, all_rows)
    measuring = run_campaign if ray is None else _on_fleet(ray)
    with interruptible(kept(store)), Bars().bar(backend_spec(backend)[0]) as step:
        outcome = measuring(store, backend, **settings, **wanted, report=of_campaign(step))
    return outcome, teller(store.path, outcome.set_ids, asked, backend)


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
    model: ModelOption = None,
    network: NetworkOption = None,
    onnx: OnnxOption = None,
    shape: ShapeOption = None,
    inputs: InputOption = None,
    parity: ParityOption = True,
) -> None:
    """Time a set's sentinels again, on any later day: what its figures are off by by then.

    Models may be among them where --model, --network or --onnx gives what the store has only the
    name of.
    """
    from latbench.campaign import CampaignOptions
    from latbench.campaign.recheck import recheck as check_again
    from latbench.progress import Bars, of_campaign
    from latbench.store import Store

    files = onnx_models(onnx, shape, inputs)
    with Store(store) as opened:
        name = opened.find_set(backend, set_id).set.backend
        with interruptible(kept(opened)), Bars().bar(name) as step:
            outcome = check_again(
                opened, backend=backend, set_id=set_id, n=n,
                models=[*named_models(model or (), network or ()), *files],
                options=CampaignOptions(parity=parity), report=of_campaign(step),
            )  # fmt: skip
        found = opened.find_set(set_id=outcome.set_id)
    console.print(
        f"{outcome.measured} rows measured again, {outcome.failed} failed; {outcome.seconds:.0f} s"
    )
    show_sets(store, as_json=False)
    say_bias(found)


COMMANDS = (backends, measure, measure_actively, recheck)
