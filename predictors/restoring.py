"""The predictor of a saved model, made again as its card says, from files that must be its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from latbench.encodings import encoding_of
from latbench.errors import LatbenchError, ParseError
from latbench.predictors.base import LatencyPredictor
from latbench.predictors.card import Card
from latbench.predictors.registry import build_predictor, predictor_class
from latbench.predictors.safe_arrays import read_limited


def digest_of(data: bytes) -> str:
    """Returns what a card says of a file with these contents."""
    return hashlib.sha256(data).hexdigest()


def restore_predictor(card: Card, directory: Path) -> LatencyPredictor:
    """Returns the fitted predictor of a saved model.

    The class is found by the card's name, and brings its encoding. Raises ParseError when the card
    names none, or one that a file may not import, when it was fitted on another encoding or another
    version of it, or when a file is not what was saved.
    """
    try:
        cls = predictor_class(card.predictor, f"the card of {directory}")
        predictor = build_predictor(cls, card.predictor, card.params)
        encoding = encoding_of(predictor.encoding)
    except ParseError:
        raise
    except (LatbenchError, TypeError) as error:
        raise ParseError(f"the card of {directory} names no known predictor: {error}") from error
    if encoding.name != card.encoding:
        raise ParseError(
            f"the card of {directory} gives {card.predictor!r} encoding {card.encoding!r}, it "
            f"reads {encoding.name!r}"
        )
    if encoding.version != card.encoding_version:
        raise ParseError(
            f"the model in {directory} was fitted on version {card.encoding_version} of the "
            f"encoding {encoding.name!r}, which is of version {encoding.version} here; fit it "
            "again from its store"
        )
    for name, digest in card.files.items():
        if name != Path(name).name or "\0" in name:
            raise ParseError(f"the card of {directory} lists {name!r}, which is no plain file name")
        if digest_of(read_limited(directory / name)) != digest:
            raise ParseError(f"{directory / name} is damaged: it is not the file that was saved")
    predictor.load_state(directory)
    return predictor
