"""The record of a training: what weights were trained on, and how well they do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from latbench.errors import UsageError
from latbench.validation import check_fields


@dataclass(frozen=True)
class Trained:
    """A record of what a model's weights were trained on, and of what they reached there.

    ``data`` names the images and ``accuracy`` is that on their test split (a fraction). A network
    reads ``(image - mean) / std`` of each channel, where an image's values are from 0 to 1. Raises
    UsageError for other values.
    """

    data: str
    accuracy: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.accuracy <= 1 or len(self.mean) != len(self.std) or 0 in self.std:
            raise UsageError(
                "a training has an accuracy from 0 to 1, and a mean and a deviation above 0 for "
                f"each channel; got {self}"
            )
        if not self.data.isprintable():
            raise UsageError("the name of a training's data must be one line that can be printed")

    def values(self) -> dict[str, Any]:
        """Returns it as values of JSON."""
        return asdict(self)

    @classmethod
    def of_values(cls, values: dict[str, Any]) -> Trained:
        """Makes it from ``values``."""
        mean, std = (tuple(map(float, values[name])) for name in ("mean", "std"))
        return cls(values["data"], values["accuracy"], mean, std)

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.2%} on the test images of {self.data}"

    @property
    def reads(self) -> str:
        """Returns a sentence that says what the network reads."""
        mean, std = (", ".join(f"{v:.6g}" for v in of) for of in (self.mean, self.std))
        return f"It reads (image - mean) / std, of values from 0 to 1: mean {mean}; std {std}."
