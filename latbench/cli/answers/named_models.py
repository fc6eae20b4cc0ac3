"""A text on the command line as a model: the one place where it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.cli.model_options import onnx_models
from latbench.errors import ParseError, UsageError, did_you_mean, quoted

if TYPE_CHECKING:
    from latbench.models import Model
    from latbench.spaces import AnySpace


def model_of(text: str, space: AnySpace, shapes: Sequence[str] = ()) -> Model:
    """Returns the model that a text names.

    It is a path (the folder of a saved model, or an ONNX file, with ``shapes`` such as
    ``input=1,3,224,224`` for the sizes that it leaves open), or the name of a published network
    with a resolution or without (``mobilenet_v2@128``), or an architecture of ``space``, by its
    text or its published name.

    Raises UsageError for any other text, and for a file or folder that is no model.
    """
    from latbench.models import Model, read_model
    from latbench.spaces import known_name
    from latbench.zoo.published_networks import network_names

    if _is_path(text):
        if Path(text).is_file():
            (model,) = onnx_models([Path(text)], shapes, ())
            return model
        return read_model(text)
    names = network_names()
    if text.partition("@")[0] in names:
        from latbench.cli.networks_command import named_network

        return named_network(text)
    try:
        architecture = space.parse(text)
    except ParseError as error:
        if any(c in text for c in "(|~ "):  # no name, but a damaged architecture
            raise
        known = [*names, *space.published]
        raise UsageError(
            f"{quoted(text)} is no published network (`latbench networks`), no ONNX file, no "
            "folder of a saved model and no architecture of the space "
            f"{space.name}{did_you_mean(text, known)} --space names another space"
        ) from error
    return Model(known_name(str(architecture)), space.build(architecture))


def _is_path(text: str) -> bool:
    """Whether a text is a path; an architecture's may be too long for one."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
