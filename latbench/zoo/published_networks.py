"""The published networks by name: the one table through which all of them are reached.

Each is built as the repository that its entry names builds it, at any resolution and number of
classes; its batch norms all have an epsilon of 1e-5, whatever it was trained with, since no time
depends on that.

>>> from latbench.zoo.published_networks import published_network
>>> published_network("mobilenet_v2").parameters
3504872
"""

from __future__ import annotations

from latbench.errors import UsageError, unknown
from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.resizing import Pixels, pixels_text
from latbench.zoo.fbnets import FBNETS_V2
from latbench.zoo.in_spaces import IN_SPACES
from latbench.zoo.mnasnets import MNASNETS
from latbench.zoo.mobilenets import MOBILENETS
from latbench.zoo.published_entry import PublishedNetwork

_TABLE = {entry.name: entry for entry in (*MOBILENETS, *MNASNETS, *FBNETS_V2, *IN_SPACES)}


def network_names() -> tuple[str, ...]:
    """Returns the names of all published networks, families together."""
    return tuple(_TABLE)


def published_entry(name: str) -> PublishedNetwork:
    """Returns what is known of a published network. Raises UsageError, which offers the nearest
    name, where there is none of that name."""
    if name not in _TABLE:
        raise UsageError(unknown("published network", name, _TABLE))
    return _TABLE[name]


def published_network(
    name: str, resolution: int | Pixels | None = None, classes: int | None = None, batch: int = 1
) -> Network:
    """Builds a published network for colour images.

    Args:
        name: Its name, one of ``network_names()``.
        resolution: The height and width of an image in pixels, or both of them where they differ;
            that which the network was published at by default.
        classes: The number of classes; 1000 by default, or what it was published with.
        batch: The number of images of one run.

    Returns:
        The network.

    Raises:
        UsageError: For an unknown name, which offers the nearest, and for a size that is none or
            that the network cannot reduce as often as it does.
    """
    return published_entry(name).network(resolution, classes, batch)


def published_model(
    name: str, resolution: int | Pixels | None = None, classes: int | None = None, batch: int = 1
) -> Model:
    """Makes a model of a published network, called by the network's name, with invented weights.

    At another resolution than the published one it is called ``mobilenet_v2@128``, or
    ``mobilenet_v2@224x160``.

    Args:
        name: The network's name, one of ``network_names()``.
        resolution: The height and width of an image in pixels, or both of them where they differ;
            that which the network was published at by default.
        classes: The number of classes; 1000 by default, or what it was published with.
        batch: The number of images of one run.

    Returns:
        The model.

    Raises:
        UsageError: As ``published_network`` does.
    """
    entry = published_entry(name)
    size = entry.resolution if resolution is None else resolution
    pixels = size if isinstance(size, tuple) else (size, size)
    own = pixels == (entry.resolution, entry.resolution)
    called = name if own else f"{name}@{pixels_text(pixels)}"
    return Model(called, entry.network(resolution, classes, batch))
