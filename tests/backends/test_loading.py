"""A backend that is written for networks is refused with what to change, however it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from loading import as_model

from latbench.backends import (
    Availability,
    Backend,
    Session,
    list_backends,
    load_model,
    make_backend,
    require,
)
from latbench.backends.base import runtime_errors
from latbench.backends.loading import refuse_networks
from latbench.errors import BackendError
from latbench.export.onnx import to_onnx
from latbench.models import Model
from latbench.networks.network import Network
from latbench.testing import CHECKS, CostModelBackend, FakeBackend
from latbench.testing.conformance import make_setup
from latbench.testing.networks import short_chain

REFUSED = r"is written for networks, but load\(\) gets a model; write load\(self, model: Model\)"
MODEL = as_model(short_chain())


@dataclass(frozen=True)
class Ready(Backend):
    name = "old"

    def availability(self) -> Availability:
        return Availability(True)

    def load(self, model: Any) -> Session:
        return CostModelBackend().load(model)


class ByName(Ready):
    def load(self, network):  # type: ignore[no-untyped-def]
        raise NotImplementedError


class ByAnnotation(Ready):
    def load(self, net: Network) -> Session:  # type: ignore[override]
        raise NotImplementedError


class ByClass(Ready):
    def load(self, net: Any) -> Session:
        raise NotImplementedError


ByClass.load.__annotations__["net"] = Network  # as without `from __future__ import annotations`


class ByLayers(Ready):
    def load(self, it: Any) -> Session:
        return CostModelBackend().load(it.layers)


class ByExport(Ready):
    def load(self, *it: Any) -> Session:
        with runtime_errors("old cannot load the network"):
            to_onnx(*it)
        raise NotImplementedError


@pytest.mark.parametrize("cls", [ByName, ByAnnotation, ByClass])
def test_its_signature_tells(cls: type[Backend]) -> None:
    for refuse in (
        lambda: refuse_networks(cls), lambda: make_backend(f"{__name__}:{cls.__name__}"),
        lambda: require(cls()), lambda: load_model(cls(), MODEL),
    ):  # fmt: skip
        with pytest.raises(BackendError, match=f"^backend {__name__}:{cls.__name__} {REFUSED}"):
            refuse()


@pytest.mark.parametrize("cls", [ByLayers, ByExport])
def test_what_it_looks_for_in_a_model_tells(cls: type[Backend]) -> None:
    require(cls())
    with pytest.raises(BackendError, match=REFUSED):
        load_model(cls(), MODEL)
    with pytest.raises(BackendError, match=REFUSED):
        CHECKS["outputs"](cls(), make_setup())


def test_other_errors_stay_what_they_are() -> None:
    class Buggy(Ready):
        def load(self, model: Model) -> Session:
            return model.nonsense  # type: ignore[attr-defined, no-any-return]

    class Elsewhere(Ready):
        def load(self, model: Model) -> Session:
            return model.name.layers  # type: ignore[attr-defined, no-any-return]

    for backend in (Buggy(), Elsewhere()):
        with pytest.raises(AttributeError):
            load_model(backend, MODEL)
    with pytest.raises(BackendError, match="must be a positive number"):
        load_model(FakeBackend(lambda network: -1.0), MODEL)


def test_backends_of_models_are_not_refused() -> None:
    with load_model(Ready(), MODEL) as session:
        assert session.time(1)[0] > 0
    for _, found in list_backends():
        assert "written for networks" not in found.reason
