"""The description of what a campaign measures and how, which can be sent to another machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from latbench.backends import backend_spec
from latbench.backends.base import Backend
from latbench.campaign.canaries import canary_key
from latbench.errors import UsageError
from latbench.models import Model, save_model
from latbench.spaces import AnySpace
from latbench.timing.protocol import CURRENT, FOREIGN, Protocol


@dataclass(frozen=True)
class CampaignOptions:
    """The settings of how a campaign is run; they change nothing about what a row means.

    ``retest`` is the share of rows that is timed twice for the noise floor. ``block`` is the number
    of networks that are kept loaded together, fewer where less than ``min_free_memory`` (a share of
    the host's or a device's) is left. ``energy_s`` is the time that each network runs to measure
    its energy (seconds; 0: not measured). With ``overlap``, a second worker loads the next block
    while the first one times, which is faster and noisier (see
    ``latbench.campaign.loading_ahead``). Rows whose 95 % interval is wider than ``retry_noisy`` on
    either side (a fraction) are measured again; each stays as it is until a narrower one takes its
    place. With ``parity`` every network's output is compared with torch's. With ``steps`` the steps
    of each network are timed, too, within it, where the backend can (``Session.time_steps``). The
    timeouts (seconds) are those of starting a worker, of loading a network and of one visit.
    """

    retest: float = 0.1
    retry_noisy: float = math.inf
    block: int = 96
    min_free_memory: float = 0.1
    energy_s: float = 0.0
    overlap: bool = False
    parity: bool = True
    steps: bool = False
    start_timeout_s: float = 300.0
    load_timeout_s: float = 120.0
    visit_timeout_s: float = 120.0


@dataclass(frozen=True)
class MeasurerSpec:
    """A description of what a worker measures, in values that can be sent to another machine.

    ``models`` are the folders on this one of the models that are no architectures of the space, by
    their texts; see ``saved``.
    """

    space: dict[str, Any]
    backend: str
    options: dict[str, Any]
    protocol: Protocol
    canary: str
    models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, space: AnySpace, backend: Backend, protocol: Protocol) -> MeasurerSpec:
        """Describes a backend in a space; raises UsageError as ``backend_spec`` does."""
        name, options = backend_spec(backend)
        if protocol.version != CURRENT:
            why = "of older measurements, and is not timed any more"
            if protocol.version == FOREIGN:
                why = "of foreign measurements, which latbench never timed"
            raise UsageError(
                f"protocol {protocol.version} is {why}; measure with protocol {CURRENT} (into a "
                "set of its own), and fit on that"
            )
        return cls(space.identity(), name, options, protocol, canary_key())

    def request(self, check: bool, options: CampaignOptions) -> dict[str, Any]:
        """Returns the worker's start request; ``check`` is whether a canary's output is
        compared."""
        return {
            "check": check,
            "energy_s": options.energy_s,
            "steps": options.steps,
            "space": self.space,
            "backend": self.backend,
            "options": self.options,
            "protocol": asdict(self.protocol),
            "models": dict(self.models),
        }


@contextmanager
def saved(models: Iterable[Model]) -> Iterator[dict[str, str]]:
    """Saves models where workers find them, for as long as the body runs.

    They are saved also where they were read from a folder: that one may change meanwhile, and the
    workers import the layer kinds that are named in these folders, which nobody else wrote. One
    after the other is asked for, so that whoever makes them need not hold all of them.

    Yields the folders by the models' texts. Raises UsageError for one that cannot be saved.
    """
    with TemporaryDirectory(prefix="latbench-models-") as parent:
        folders = dict[str, str]()
        for model in models:
            if str(model) not in folders:
                folders[str(model)] = str(Path(parent) / str(len(folders)))
                save_model(model, folders[str(model)])
        yield folders
