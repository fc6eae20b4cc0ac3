"""``latbench networks``: the published networks, and how the command line names one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, show
from latbench.errors import UsageError, quoted
from latbench.text import ABSENT

if TYPE_CHECKING:
    from latbench.networks.resizing import Pixels

NetworkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--network", metavar="NAME[@RESOLUTION]",
        help="Also measure this published network (`latbench networks`), at its resolution or "
        "another one; repeatable.",
        autocompletion=completing.networks,
    ),
]  # fmt: skip


def networks(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[@RESOLUTION]]...",
            help="Only these, e.g. mobilenet_v2 or mobilenet_v2@128.",
            show_default=False,
            autocompletion=completing.networks,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the published networks that `measure --network` takes, with their cost and accuracy.

    A top-1 accuracy is that of ImageNet as published, at the published resolution, with its source.
    """
    from latbench.zoo.published_networks import network_names

    rows = [_row(text) for text in names or network_names()]
    columns: dict[str, Callable[..., str]] = {
        "name": str, "resolution": _resolution_text, "parameters": "{:,}".format,
        "macs": "{:,}".format,
        "top1": lambda top1: ABSENT if top1 is None else f"{top1:.2f} %",
        "top1_source": lambda source: source or ABSENT,
    }  # fmt: skip
    show(rows, as_json, columns=columns)


def _resolution_text(resolution: int | Pixels) -> str:
    from latbench.networks.resizing import pixels_text

    return pixels_text(resolution) if isinstance(resolution, tuple) else str(resolution)


def _row(text: str) -> dict[str, Any]:
    """A published network's line; an accuracy is that of no other resolution."""
    from latbench.zoo.published_networks import published_entry

    name, resolution = parse_network(text)
    entry = published_entry(name)
    network = entry.network(resolution)
    accuracy = entry.accuracy if resolution in (None, entry.resolution) else None
    return {
        "name": name,
        "resolution": resolution or entry.resolution,
        "classes": entry.classes,
        "parameters": network.parameters,
        "macs": network.macs,
        "top1": accuracy.top1 if accuracy else None,
        "top1_source": accuracy.source if accuracy else None,
        "source": entry.source,
    }


def parse_network(text: str) -> tuple[str, int | Pixels | None]:
    """Reads ``mobilenet_v2``, ``mobilenet_v2@128`` or ``mobilenet_v2@224x160`` as a name and a
    resolution in pixels, one number for a square, None where the text has none. Raises UsageError
    for a resolution that is none."""
    from latbench.networks.resizing import parse_pixels

    name, at, size = text.partition("@")
    if not at:
        return name, None
    pixels = parse_pixels(size)
    if pixels is None:
        raise UsageError(
            f"{quoted(text)} names no resolution; expected NAME@PIXELS with a whole number of "
            f"pixels, or height and width, such as {quoted(f'{name}@128')} or "
            f"{quoted(f'{name}@224x160')}"
        )
    return name, pixels[0] if pixels[0] == pixels[1] else pixels


COMMANDS = (networks,)
