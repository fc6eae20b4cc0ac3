"""``latbench operators``: the operators that each runtime likes, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    HalfWidthOption,
    JsonOption,
    PlotOption,
    RetestOption,
    console,
    interruptible,
    open_store,
    parse_options,
    show,
)
from latbench.cli.measuring import RetryFailedOption, campaign_settings
from latbench.errors import UsageError
from latbench.operators import RETEST
from latbench.progress import messages
from latbench.text import listing

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.operators.candidates import Candidate
    from latbench.operators.pools import Liking, Rules, Timed
    from latbench.spaces import AnySpace

# Of each pair of backends and each layer, whether their pools differ; None where it is not known.
Differing = Mapping[tuple[str, str], Mapping[str, bool | None]]

BackendsOption = Annotated[
    list[str],
    typer.Option(
        "--backend", help="A backend to time on; repeatable.", autocompletion=completing.backends
    ),
]
SpaceOption = Annotated[
    str,
    typer.Option(
        "--space",
        help="The space whose operators are timed, e.g. 'operators(width=0.5, resolution=64)'.",
        autocompletion=completing.spaces,
    ),
]


def operators(
    backend: BackendsOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the store and the spaces.")],
    space: SpaceOption = "operators",
    keep: Annotated[int, typer.Option(help="How many operators a layer keeps.")] = 4,
    per_family: Annotated[int, typer.Option(help="At most so many of them are of a family.")] = 2,
    beta: Annotated[
        float, typer.Option(help="The price of latency in the score: capacity / seconds^beta.")
    ] = 1.0,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="Option of all backends key=value, e.g. threads=1."),
    ] = None,
    retest: RetestOption = f"{RETEST:.0%}",
    half_width: HalfWidthOption = "1%",
    retry_failed: RetryFailedOption = False,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Time every operator at every layer, and keep the few that suit each backend.

    Each backend gets a file with its space, and all together ``union.toml``, without what one of
    them cannot run; every command takes one as ``--space FILE``. Run it again to go on where it
    stopped.
    """
    from latbench.backends import make_backend, require
    from latbench.operators.candidates import candidates
    from latbench.operators.pools import Rules, liking
    from latbench.operators.space_file import with_pools
    from latbench.spaces import parse_space

    chosen, rules = parse_space(space), Rules(keep, per_family, beta)
    _check_files(out, backend)
    found, own = candidates(chosen), parse_options(option or ())
    with_pools(chosen, {one.layer: (one.operator,) for one in found})  # refuses what has none
    runtimes = [make_backend(name, **own) for name in dict.fromkeys(backend)]
    for runtime in runtimes:
        require(runtime)
    settings = {**campaign_settings(half_width, retest), "retry_failed": retry_failed}
    timed = _timed(out, chosen, runtimes, settings)
    every = [liking(found, one, rules) for one in timed]
    _write(out, chosen, timed, every)
    pairs = _differing(every)
    if plot is not None:
        _draw(found, timed, every, pairs, rules, plot)
    columns: dict[str, Callable[..., str]] = {"layer": str}
    columns |= {one.backend: " ".join for one in timed}
    columns["differs"] = lambda names: "unknown" if names is None else ", ".join(names)
    title = f"the {keep} operators that suit each backend"
    show(_rows(found, timed, every, pairs, rules), as_json, title, columns)
    if not as_json:
        _say_differing(pairs)


def _timed(
    out: Path, space: AnySpace, runtimes: Sequence[Backend], settings: dict[str, Any]
) -> list[Timed]:
    """Times the operators on every backend into the folder's store."""
    from latbench.operators.timing import time_operators
    from latbench.progress import Bars, of_campaign

    out.mkdir(parents=True, exist_ok=True)
    store, timed = out / "operators.sqlite", list[Any]()
    kept = f"every finished row is in {store}; the same command goes on from there"
    with open_store(store, str(space)) as opened, interruptible(kept):
        for runtime in runtimes:
            with Bars().bar(f"operators on {runtime.name}") as step:
                report = of_campaign(step)
                timed.append(time_operators(opened, runtime, report=report, **settings))
    return timed


def _write(out: Path, space: AnySpace, timed: Sequence[Timed], every: Sequence[Liking]) -> None:
    """Writes each backend's space and that of all, and says what was left out."""
    from latbench.files import write_text
    from latbench.operators.space_file import space_text, union, with_pools

    for one, of in zip(timed, every, strict=True):
        about = f"latbench operators: the pools of {one.backend}"
        write_text(_file(out, one.backend), space_text(with_pools(space, of.pools), about))
        _say_failed(one)
    written = [_file(out, one.backend) for one in timed]
    failed = {key for one in timed for key in one.failed}
    both = union([of.pools for of in every], space, failed)
    if empty := [layer for layer, operators in both.items() if not operators]:
        said = f"no operator that suits one of the backends runs on all in {listing(empty)}"
        messages.print(f"{said}: no {_file(out, 'union')} is written", style="yellow")
    else:
        about = "latbench operators: the pools of all, but for what one of the backends cannot run"
        written.append(_file(out, "union"))
        write_text(written[-1], space_text(with_pools(space, both), about))
    files = listing([str(path) for path in written])
    messages.print(f"{files} are spaces: --space FILE", soft_wrap=True)


def _check_files(out: Path, backends: Sequence[str]) -> None:
    """Raises UsageError where two spaces would be written into one file."""
    files: dict[Path, str] = {_file(out, "union"): "the union of all"}
    for name in dict.fromkeys(backends):
        if (other := files.setdefault(_file(out, name), name)) != name:
            raise UsageError(
                f"the space of {name!r} would be written over that of {other}, into "
                f"{_file(out, name)}; time them into folders of their own"
            )


def _file(out: Path, name: str) -> Path:
    return out / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.toml"


def _differing(every: Sequence[Liking]) -> Differing:
    from itertools import combinations

    from latbench.operators.pools import differ

    return {(a.backend, b.backend): differ(a, b) for a, b in combinations(every, 2)}


def _rows(
    found: Sequence[Candidate], timed: Sequence[Timed], every: Sequence[Liking],
    pairs: Differing, rules: Rules,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row a layer: each backend's pool, which pairs differ beyond the noise (None where no noise
    is known), and what every operator takes (s) and scores."""
    scores = {one.backend: _scores(found, one, rules) for one in timed}
    unknown = any(of.usual is None for of in every)
    return [
        {
            "layer": layer,
            **{of.backend: list(of.pools[layer]) for of in every},
            "differs": None if unknown else ["/".join(p) for p, of in pairs.items() if of[layer]],
            "timed": {
                one.backend: {
                    o: {"seconds": one.seconds[at, o], "score": score}
                    for (at, o), score in scores[one.backend].items() if at == layer
                }
                for one in timed
            },
        }
        for layer in every[0].pools
    ]  # fmt: skip


def _scores(found: Sequence[Candidate], timed: Timed, rules: Rules) -> dict[tuple[str, str], float]:
    from latbench.operators.pools import score

    return {
        (c.layer, c.operator): score(c, timed.seconds[c.layer, c.operator], rules.beta)
        for c in found if (c.layer, c.operator) in timed.seconds
    }  # fmt: skip


def _say_differing(pairs: Differing) -> None:
    """Says of each pair of backends in how many layers their pools differ."""
    for (a, b), of in pairs.items():
        if None in of.values():
            said = "not known, since nothing was timed twice"
        else:
            said = f"{sum(map(bool, of.values()))} of {len(of)}"
        console.print(f"Layers whose pools differ beyond the noise on {a} and {b}: {said}.")


def _say_failed(timed: Timed) -> None:
    """Says which operators a backend could not run, and why."""
    reasons: dict[str, list[str]] = {}
    for (layer, operator), why in timed.failed.items():
        reasons.setdefault(why, []).append(f"{layer}={operator}")
    for why, names in reasons.items():
        text = f"{timed.backend} leaves out {', '.join(names)}, and so does the union of all "
        text += f"(--retry-failed tries again): {why}"
        messages.print(text, style="yellow", soft_wrap=True)


def _draw(
    found: Sequence[Candidate], timed: Sequence[Timed], every: Sequence[Liking],
    pairs: Differing, rules: Rules, plot: Path,
) -> None:  # fmt: skip
    from latbench.report.charts.operator_charts import operators_chart
    from latbench.report.picture import save_picture

    layers = list(every[0].pools)
    others: dict[str, dict[str, list[str]]] = {
        of.backend: {
            layer: [
                name for pair, differs in pairs.items() if of.backend in pair and differs[layer]
                for name in pair if name != of.backend
            ]
            for layer in layers
        }
        for of in every
    }  # fmt: skip
    chart = operators_chart(
        {one.backend: _scores(found, one, rules) for one in timed},
        {of.backend: of.pools for of in every},
        list(dict.fromkeys(c.operator for c in found)), layers, others,
    )  # fmt: skip
    save_picture(chart, plot)


COMMANDS = (operators,)
