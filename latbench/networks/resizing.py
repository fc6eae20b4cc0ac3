"""A network at another batch or at another size of images: the same layers on another input."""

from __future__ import annotations

from latbench.errors import UsageError
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Shape

Pixels = tuple[int, int]  # height and width
MOST = 1_000_000  # images, and pixels of a side: beyond it stands a mistake


def resized(
    network: Network, what: str, batch: int | None = None, pixels: Pixels | None = None
) -> Network:
    """Builds a network again for another input.

    Args:
        network: The network.
        what: What it is called in messages, such as its name.
        batch: The number of images, or of rows, of one run; None for as many as it has.
        pixels: The height and width of an image; None for those that it has.

    Returns:
        The network, with every shape inferred again.

    Raises:
        UsageError: For a size that is none, for pixels where the input is no image, and where a
            layer does not fit the size.
    """
    for size in (*(() if batch is None else (batch,)), *(pixels or ())):
        if not 1 <= size <= MOST:
            raise UsageError(f"a batch and a resolution are of 1 to {MOST:,}, got {size:,}")
    shape = _input_shape(network, what, batch, pixels)
    if shape == network.input_shape:
        return network
    b = NetworkBuilder(shape)
    try:
        for layer in network.layers[1:]:
            b.add(layer.op, *layer.inputs)
    except UsageError as error:
        raise UsageError(f"{what} cannot take an input of {size_text(shape)}: {error}") from error
    found = b.build(len(network.layers) - 1)
    if pixels is not None:
        found.check_halves(what)
        _check_tensors(network, found, what)
    return found


def _input_shape(network: Network, what: str, batch: int | None, pixels: Pixels | None) -> Shape:
    old = network.input_shape
    if pixels is not None and len(old) != 4:
        raise UsageError(
            f"{what} reads {size_text(old)}, which are no images, so that it has no resolution; "
            "its batch alone can be varied"
        )
    return (batch or old[0], *(old[1:] if pixels is None else (old[1], *pixels)))


def _check_tensors(before: Network, after: Network, what: str) -> None:
    """A layer that reads a flattened image has weights for its pixels, and is another one at
    another size."""
    for (_, old, _), (_, new, _) in zip(before.tensors(), after.tensors(), strict=True):
        if old != new:
            raise UsageError(
                f"{what} has weights for images of {size_text(before.input_shape)}: at "
                f"{size_text(after.input_shape)} a tensor of {old} would be {new}, and the network "
                "another one; build it at that size"
            )


def size_text(shape: Shape) -> str:
    """Writes the shape of an input: ``1 x 3 x 224 x 224``."""
    return " x ".join(map(str, shape))


def parse_pixels(text: str) -> Pixels | None:
    """Reads ``224`` or ``224x160`` as height and width in pixels, None for any other text.

    >>> parse_pixels("224"), parse_pixels("224x160"), parse_pixels("224x")
    ((224, 224), (224, 160), None)
    """
    parts = text.split("x")
    if len(parts) > 2 or not all(p.isdecimal() and p.isascii() and len(p) <= 6 for p in parts):
        return None
    return int(parts[0]), int(parts[-1])


def pixels_text(pixels: Pixels) -> str:
    """Writes height and width as ``parse_pixels`` reads them: ``224`` for a square."""
    height, width = pixels
    return str(height) if height == width else f"{height}x{width}"
