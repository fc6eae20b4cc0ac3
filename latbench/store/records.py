"""The plain values that a store takes and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from latbench.store.keys import Numbers
from latbench.store.repeats import SizeBias
from latbench.timing.noise import Floors, concern
from latbench.timing.protocol import FOREIGN, Estimate, Protocol, Stop, Visit

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MeasurementSet:
    """The conditions that all rows of a set share. ``options`` are the backend's, JSON values."""

    backend: str
    options: dict[str, Any]
    version: str
    device: str
    protocol: Protocol
    canary: str
    machine: dict[str, Any]

    @property
    def key(self) -> str:
        """Returns what makes rows comparable, as canonical text; the machine's profile only
        informs."""
        identity = {k: v for k, v in asdict(self).items() if k != "machine"}
        return json.dumps(identity, sort_keys=True)

    @property
    def conditions(self) -> str:
        """Returns everything as the JSON that ``set_from_conditions`` reads."""
        return json.dumps(asdict(self))


# How backends spelled precisions until 2026-11-29, each in its own way.
_AUTOCAST = ("torch-eager", "torch-compile")
_SPELLED = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "fp32": "float32",
            "fp16": "float16"}  # fmt: skip


def current_options(backend: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a backend's stored options as they are spelled today. Raises ValueError when they
    are none."""
    if not isinstance(options, Mapping):
        raise ValueError(f"options must be names and values, got {options!r}")
    renamed = {
        "precision" if name == "autocast" and backend in _AUTOCAST else name: value
        for name, value in options.items()
    }
    if backend in ("ncnn", "openvino", "tensorrt") and "precision" in renamed:
        spelled = renamed["precision"]
        renamed["precision"] = _SPELLED.get(spelled, spelled)
    return renamed


def set_from_conditions(text: str) -> MeasurementSet:
    """Reads the set that ``MeasurementSet.conditions`` wrote; protocols had no version before 2."""
    values = json.loads(text)
    values["options"] = current_options(values["backend"], values["options"])
    return MeasurementSet(**{**values, "protocol": Protocol(**{"version": 1} | values["protocol"])})


@dataclass(frozen=True)
class Costs:
    """The costs of an architecture besides time; None where one was not measured.

    ``build_s``: seconds in which the runtime built it, apart from loading. ``memory_bytes``: peak
    of the host's memory while it runs, above what the process had before it was loaded.
    ``device_memory_bytes``: the same of an accelerator's memory. ``model_bytes``: the model as the
    runtime takes it. ``energy_j``: joules an inference. See
    ``latbench.campaign.memory_and_energy``.
    """

    build_s: float | None = None
    memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    model_bytes: int | None = None
    energy_j: float | None = None


@dataclass(frozen=True)
class Measurement:
    """One row: an architecture timed (``ok``) or not (``failed``, with the reason).

    ``architecture`` is its text, or for a model that is none of the space ``name@digest``.
    ``repeat`` is 0 for the first timing, 1 for the retest and more for later checks;
    ``sample_index`` is the position in the sample of ``seed``, both None for an architecture that
    somebody named. ``host`` is the device that did it, by its machine's name and a GPU's PCI
    address; ``throttled`` says what held its clocks down meanwhile, if anything.

    ``occasion`` counts the runs of a campaign that filled the set, from 1, and ``block`` the blocks
    of each run, from 0. ``canaries`` are the
    fastest runs (seconds) of all canaries in the row's block, by name, and ``machine`` is what the
    machine was like meanwhile, see ``latbench.device.moment``.

    ``fallbacks`` says which layer kinds the runtime had no kernel of its own for, and what computed
    them (``"Gelu by torch"``), if there were any. ``steps`` are the seconds of each step of the
    network, timed within it, each in the run that was fastest for it, where they were asked for
    (``CampaignOptions.steps``).
    """

    architecture: str
    repeat: int
    sample_index: int | None
    status: Literal["ok", "failed"]
    estimate: Estimate | None = None
    stop: Stop | None = None
    error: str | None = None
    visits: tuple[Visit, ...] = ()
    seed: int | None = None
    host: str | None = None
    throttled: str | None = None
    costs: Costs = Costs()
    occasion: int | None = None
    block: int | None = None
    canaries: dict[str, float] | None = None
    machine: dict[str, float] | None = None
    fallbacks: str | None = None
    steps: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SetSummary:
    """A set with its counts, noise floor (fraction) and anchor (seconds).

    ``ok`` architectures were measured, which are so many different ``networks``, and ``named`` of
    them because somebody named them, and not as part of a sample. Of all ``rows`` that were timed,
    retests included, ``noisy`` have an interval wider than ``latbench.timing.noise.WIDE``;
    ``rejected`` visits, of all of them together, were disturbed and left out. ``throttled`` is in
    how many rows each reason held clocks down, ``errors`` how many rows failed for each reason,
    ``fallbacks`` in how many rows which layer kinds were computed by what, where the runtime had no
    kernel for them. It has so many latency ``tables`` (``latbench.store.table_rows``).

    ``noise_floor`` is that inside an occasion, of ``retested`` pairs; ``floor_between`` that
    between occasions, of ``rechecked`` pairs, with its ``size_bias``; see latbench.store.repeats.
    ``disturbed`` is the share of rows (a fraction) in whose block the machine was another one.
    """

    id: int
    set: MeasurementSet
    ok: int
    networks: int
    named: int
    failed: int
    rows: int
    retested: int
    noisy: int
    rejected: int
    noise_floor: float | None
    rechecked: int
    floor_between: float | None
    size_bias: tuple[SizeBias, ...]
    disturbed: float | None
    anchor_s: float | None
    throttled: dict[str, int]
    errors: dict[str, int]
    fallbacks: dict[str, int]
    tables: int

    @property
    def floors(self) -> Floors:
        """Returns both noise floors, for ``latbench.timing.noise.floor_for``."""
        return Floors(self.noise_floor, self.floor_between)

    @property
    def foreign(self) -> bool:
        """Returns whether its latencies were measured elsewhere: ``latbench.store.foreign``."""
        return self.set.protocol.version == FOREIGN

    @property
    def canary_s(self) -> float | None:
        """Returns the anchor where it is the time of a canary, None where there was none."""
        return None if self.foreign else self.anchor_s

    @property
    def concern(self) -> str | None:
        """Returns a warning about the set's noise, if any is due:
        ``latbench.timing.noise.concern``."""
        return concern(self.noise_floor, self.noisy, self.rows)


@dataclass(frozen=True, eq=False)
class Done:
    """The rows of a set, failed ones included, as columns of architectures' numbers, and of models'
    below -1 (``latbench.store.keys``).

    ``first`` are the first timings and ``index`` (int64) their positions in the sample of one seed,
    -1 for a row that was not written for that seed; ``again`` are the retests.
    """

    first: Numbers
    index: Ints
    again: Numbers

    @classmethod
    def nothing(cls) -> Done:
        """Makes the record of no row at all."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty)
