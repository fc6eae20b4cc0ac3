"""The JSON card of a saved latency model: what it is, where it came from, how good it is."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
)

from latbench.errors import ParseError, UsageError
from latbench.predictors.safe_arrays import read_limited
from latbench.text import percent
from latbench.timing.metric import LATENCY, parse_metric

CARD_FILE = "card.json"
MAX_CARD_BYTES = 2**20
# 1: the first. 2: with the version of the encoding; those of format 1 read the first version.
FORMAT_VERSION: Literal[2] = 2
_LIBRARIES = ("numpy", "scikit-learn", "torch", "lightgbm", "safetensors")


Metrics = dict[str, tuple[float, float, float]]


def current_metrics(metrics: Metrics) -> Metrics:
    """Returns cross-validated figures, with ``rmse`` in seconds for the ``rmse_ms`` of older
    files."""
    if "rmse_ms" not in metrics:
        return metrics
    value, low, high = (v / 1e3 for v in metrics["rmse_ms"])
    return {k: v for k, v in metrics.items() if k != "rmse_ms"} | {"rmse": (value, low, high)}


class Card(BaseModel):
    """A card with everything about a latency model but its fitted state."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    format: Literal["latbench latency model"] = "latbench latency model"
    format_version: Literal[1, 2] = FORMAT_VERSION
    latbench: str
    predictor: str
    params: dict[str, JsonValue]
    encoding: str
    encoding_version: int = Field(1, ge=1)
    space: dict[str, JsonValue]
    backend: str
    device: str
    # What it predicts, see latbench.timing.metric; older cards are all of latency.
    metric: str = LATENCY.name
    conditions: dict[str, JsonValue]
    samples: int = Field(ge=0)  # 0: it is counted, and nothing was fitted
    fingerprint: str
    noise_floor: float | None = None
    # Cross-validated: name to (value, low, high), see latbench.predictors.evaluation.metrics.
    metrics: Metrics | None = None
    versions: dict[str, str]
    # File name to SHA-256: a file that was cut short or swapped is noticed before it is read.
    files: dict[str, str] = Field(default_factory=dict)

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        return parse_metric(name).name

    @field_validator("metrics")
    @classmethod
    def _in_seconds(cls, metrics: Metrics | None) -> Metrics | None:
        return None if metrics is None else current_metrics(metrics)

    def facts(self) -> dict[str, str]:
        """Returns what people ask first: where it holds, and its errors beside the noise floor."""
        return {
            "predictor": self.predictor,
            "backend": self.backend,
            "device": self.device,
            "fitted on": f"{self.samples:,} architectures" if self.samples else "nothing: exact",
            "mean error (MAPE)": self._rating("mape"),
            "noise floor": percent(self.noise_floor),
            "within 5 %": self._rating("within_5"),
            "within 10 %": self._rating("within_10"),
        }

    def _rating(self, name: str) -> str:
        """A cross-validated share with its interval, or that there is none."""
        if self.metrics is None or name not in self.metrics:
            return "not cross-validated"
        value, low, high = map(percent, self.metrics[name])
        return f"{value} ({low} to {high})"

    def to_json(self) -> str:
        """Returns indented JSON, the same text for equal cards."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that decide what a predictor computes."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def as_json(value: Any, what: str) -> Any:
    """Returns ``value`` as JSON would give it back. Raises UsageError when JSON cannot hold it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} must hold only JSON values: {error}") from error


def _version_error(path: Path, data: bytes) -> ParseError | None:
    try:
        version = json.loads(data)["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if isinstance(version, int) and version > FORMAT_VERSION:
        return ParseError(
            f"{path} has format version {version}, this latbench reads {FORMAT_VERSION}; "
            "install a newer latbench"
        )
    return None


def read_card(directory: Path) -> Card:
    """Reads the card of a saved model. Raises ParseError for anything that is not one."""
    path = directory / CARD_FILE
    if not path.exists():
        raise ParseError(f"{directory} is not a saved latency model: it has no {CARD_FILE}")
    data = read_limited(path, MAX_CARD_BYTES)
    try:
        return Card.model_validate_json(data)
    except ValidationError as error:
        newer = _version_error(path, data)
        if newer is not None:
            raise newer from error
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"]) or "the file"
        raise ParseError(
            f"{path} is not a latency model's card: {where}: {first['msg']}"
        ) from error
