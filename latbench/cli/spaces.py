"""``latbench space`` and ``latbench sample``: what is searched."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, SeedOption, SpaceOption, console, say_doubt, show
from latbench.text import long_count, shorten

if TYPE_CHECKING:
    from latbench.spaces import AnySpace

MOST_LISTED = 12  # numbers that are options of one kind


def space(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPACE]",
            help="The space, e.g. nasbench201 or 'darts(channels=16, cells=8)'.",
            autocompletion=completing.spaces,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a search space (darts, if none is named) and its reference network.

    Without a name it also lists the spaces that there are.
    """
    from latbench.spaces import known_name, parse_space, space_names

    found = parse_space("darts" if name is None else name)
    say_doubt(found)
    network = found.build(found.reference())
    kinds = Counter(v.kind for v in found.forest.variables)
    published = [{"property": "published", "value": ", ".join(found.published)}]
    rows = [
        {"property": "space", "value": str(found)},
        {"property": "architectures", "value": long_count(found.size)},
        {"property": "variables", "value": ", ".join(f"{n} {k}" for k, n in kinds.items())},
        *({"property": f"{kind} options", "value": _options(found, kind)} for kind in kinds),
        {"property": "input", "value": " x ".join(map(str, network.input_shape))},
        {"property": "reference", "value": str(found.reference())},
        {"property": "reference parameters", "value": f"{network.parameters:,}"},
        {"property": "reference multiply-accumulates", "value": f"{network.macs:,}"},
        {"property": "reference layers", "value": f"{len(network.layers):,}"},
        *(published if found.published else ()),
    ]
    show(rows, as_json, columns={"property": str, "value": known_name})
    if name is None and not as_json:
        console.print(
            f"spaces: {', '.join(space_names())}, or module:Class for one of your own; "
            "`latbench space NAME` describes it",
            soft_wrap=True,
        )  # fmt: skip


def _options(space: AnySpace, kind: str) -> str:
    """The options of a kind of variables, in order; of many numbers the ends and how many."""
    own = [v.options for v in space.forest.variables if v.kind == kind]
    options = list(dict.fromkeys(itertools.chain(*own)))
    if all(option.isdecimal() for option in options):
        options.sort(key=int)
        if len(options) > MOST_LISTED:
            return f"{options[0]} to {options[-1]}, {len(options)} different ones"
    return shorten(", ".join(options), 300)


def sample(
    space: SpaceOption = "darts",
    n: Annotated[int, typer.Option("-n", help="How many different architectures.")] = 5,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Print the first architectures of a seed's sample, with their cost."""
    from latbench.spaces import parse_space

    found = parse_space(space)
    rows = []
    for index, architecture in found.unique_samples(seed, n):
        network = found.build(architecture)
        rows.append(
            {
                "index": index,
                "architecture": str(architecture),
                "parameters": network.parameters,
                "macs": network.macs,
            }
        )
    show(
        rows, as_json,
        columns={"index": str, "architecture": str, "parameters": "{:,}".format,
                 "macs": "{:,}".format},
    )  # fmt: skip


COMMANDS = (space, sample)
