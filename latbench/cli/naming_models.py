"""The ways in which a command line names models: folders, published networks, architectures.

Commands that take models take them by these options, and ``named_models`` makes them models: a new
way in (a file of another format) is an option here and a line there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from latbench.cli.networks_command import named_network
from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.models import Model
    from latbench.spaces import AnySpace

ArchitectureOption = Annotated[
    str | None,
    typer.Option(
        "--architecture", metavar="TEXT",
        help="An architecture of --space; a name such as DARTS_V2 works too.",
    ),
]  # fmt: skip


class NamedModel(NamedTuple):
    """A model, and the architecture that it was named by, where it was."""

    model: Model
    architecture: Any = None


def named_models(
    folders: Iterable[Path] = (),
    networks: Iterable[str] = (),
    architectures: Iterable[str] = (),
    space: AnySpace | None = None,
) -> list[NamedModel]:
    """Reads the models saved in folders and builds published networks and architectures, in this
    order.

    Args:
        folders: The folders of saved models.
        networks: Published networks by texts as ``mobilenet_v2@128``.
        architectures: Texts of architectures, or their published names.
        space: The space of the architectures; the models may be of it or not.

    Returns:
        The models.

    Raises:
        UsageError: For a network that there is not, and for architectures without a space.
        LatbenchError: For a folder without a model, and a text of no architecture.
    """
    from latbench.models import Model, read_model

    found = [NamedModel(read_model(folder)) for folder in folders]
    found += [NamedModel(named_network(text)) for text in networks]
    for text in architectures:
        if space is None:
            raise UsageError("--architecture needs the space that it is of; add --space")
        architecture = space.parse(text)
        found.append(NamedModel(Model(str(architecture), space.build(architecture)), architecture))
    return found


def one_model(
    folder: Path | None, network: str | None, architecture: str | None, space: AnySpace | None
) -> NamedModel:
    """Returns the one model that a command is about.

    Args:
        folder: The folder of a saved model.
        network: A published network by its text.
        architecture: The text of an architecture, or its published name.
        space: The space of the architecture.

    Returns:
        The model.

    Raises:
        UsageError: Where none or several are named, and as ``named_models`` raises it.
    """
    named = [[one] if one is not None else [] for one in (folder, network, architecture)]
    if (given := sum(map(len, named))) != 1:
        raise UsageError(
            "name one network, by --network NAME, --model FOLDER, or --architecture TEXT with "
            f"--space; got {given or 'none'}"
        )
    folders, networks, architectures = named
    (found,) = named_models(folders, networks, architectures, space)  # type: ignore[arg-type]
    return found
