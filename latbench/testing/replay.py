"""A backend that reads a store: what was measured once can be gone through again anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, final

from latbench.backends.base import Availability, Backend, Session
from latbench.campaign.canaries import CANARIES
from latbench.errors import BackendError, LatbenchError
from latbench.models import Model, is_model_text
from latbench.store import SetSummary, Store
from latbench.testing.fake import FakeSession, network_hash


@final
@dataclass(frozen=True)
class ReplayBackend(Backend):
    """A backend that takes as long as a store's rows say.

    Every canary takes the set's anchor, an architecture its anchored latency, the first session of
    a process that of its first timing, the next one that of its retest. So a replayed campaign has
    the latencies and the noise floor of the first one.

    ``store`` is the store's path, ``set_id`` the number of a measurement set (0 where there is one
    only). It can be made by name in a worker process: ``latbench.testing.replay:ReplayBackend``.
    """

    name: ClassVar[str] = "replay"
    simulated: ClassVar[bool] = True
    store: str
    set_id: int = 0

    def availability(self) -> Availability:
        """Returns that it is ready when the store has the set, and a measured row in it."""
        try:
            summary = self._summary()
        except LatbenchError as error:
            return Availability(False, str(error), "name a store and one of its sets")
        if summary.anchor_s is None:
            reason = f"set {summary.id} of {self.store} has no measured row"
            return Availability(False, reason, "measure something first")
        return Availability(True, version=summary.set.version)

    def _summary(self) -> SetSummary:
        with Store(Path(self.store)) as store:
            return store.find_set(set_id=self.set_id or None)

    def device_name(self) -> str:
        """Returns the device that the store's rows were measured on."""
        return self._summary().set.device

    def load(self, model: Model) -> Session:
        """Opens a session that takes what the next row of this model or its network says.

        Raises BackendError when the store has no measured row of it.
        """
        return FakeSession(model, _recording(self.store, self.set_id).next_s(model))


class _Recording:
    """The rows of a set by network, or by a model's text. Rows are read until the wanted one is
    found, as building a network takes milliseconds and a campaign goes through them in much the
    same order."""

    def __init__(self, path: str, set_id: int) -> None:
        self._store = Store(Path(path))
        self._set = self._store.find_set(set_id=set_id or None)
        self._latencies: dict[int | str, list[float]] = {}
        self._loaded = Counter[int | str]()
        self._models = {t for t in self._store.relative(self._set.id) if is_model_text(t)}
        self._rows = self._read()

    def _read(self) -> Iterator[int | str]:
        """Takes in the canaries, then one architecture or model after another; yields what each is
        known by."""
        space, anchor_s = self._store.space, self._set.anchor_s
        assert anchor_s is not None
        key: int | str
        for make in CANARIES.values():
            key = network_hash(make())
            self._latencies[key] = [anchor_s]
            yield key
        for text, repeats in self._store.relative(self._set.id).items():
            named = is_model_text(text)
            key = text if named else network_hash(space.build(space.parse(text)))
            known = self._latencies.setdefault(key, [])
            known += [anchor_s * relative for relative in repeats]
            yield key

    def next_s(self, model: Model) -> float:
        """The latency of the next session of a model, the last one's for further ones."""
        key: int | str = str(model) if str(model) in self._models else network_hash(model.network)
        turn, self._loaded[key] = self._loaded[key], self._loaded[key] + 1
        while turn >= len(self._latencies.get(key, ())) and next(self._rows, None) is not None:
            pass
        known = self._latencies.get(key)
        if known is None:
            raise BackendError(
                f"set {self._set.id} of {self._store.path} has no measured row of this network; "
                "replay what was measured"
            )
        return known[min(turn, len(known) - 1)]


@lru_cache(maxsize=4)
def _recording(path: str, set_id: int) -> _Recording:
    return _Recording(path, set_id)
