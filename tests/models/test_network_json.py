"""Networks as JSON and back."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from strategies import networks, spaces_and_architectures

from latbench.errors import ParseError, UsageError
from latbench.models.network_json import KNOWN, network_from, network_values
from latbench.networks import ops
from latbench.networks.general import arithmetic, arrays, products, windows
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Op
from latbench.testing.networks import conv_chain

TINY = conv_chain(layers=1, channels=4, resolution=6)


def there_and_back(network: Network) -> Network:
    return network_from(json.loads(json.dumps(network_values(network))), "the model x")


@settings(deadline=None)
@given(networks())
def test_every_network_comes_back(network: Network) -> None:
    assert there_and_back(network) == network


@settings(deadline=None, max_examples=20)
@given(spaces_and_architectures())
def test_every_architecture_comes_back(pair: Any) -> None:
    network = pair[0].build(pair[1])
    assert there_and_back(network) == network


def test_every_layer_kind_of_latbench_is_known() -> None:
    modules = (ops, windows, arithmetic, arrays, products)
    kinds = (c for module in modules for c in vars(module).values() if isinstance(c, type))
    assert set(KNOWN) == {c for c in kinds if issubclass(c, Op)} - {Op}
    assert len({c.__name__ for c in KNOWN}) == len(KNOWN)


def broken(**changes: Any) -> Any:
    """The values of a network, one layer of them changed."""
    values = network_values(TINY)
    values[1] = {**values[1], **changes}
    return values


@pytest.mark.parametrize(
    "values",
    [
        None, 3, "x", {}, [], [[]], [3],
        network_values(TINY)[1:],
        broken(op="Conv3d"), broken(op=None), broken(op="os:system"),
        broken(op="latbench.errors:no"), broken(op="latbench.networks.network:Layer"),
        broken(op="Input"),
        broken(inputs=[7]), broken(inputs=[-1]), broken(inputs=[True]), broken(inputs=["0"]),
        broken(inputs=[]), broken(inputs=[0, 0]), broken(inputs=None),
        broken(**{"with": {}}), broken(**{"with": None}), broken(**{"with": {"kernel": 3}}),
        broken(**{"with": {"out_channels": 4.0, "kernel": 3}}),
        broken(**{"with": {"out_channels": True, "kernel": 3}}),
        broken(**{"with": {"out_channels": -4, "kernel": 3}}),
        broken(**{"with": {"out_channels": 4, "kernel": 30}}),
        broken(**{"with": {"out_channels": 4, "kernel": 3, "groups": 0}}),
        broken(**{"with": {"out_channels": 4, "kernel": 3, "more": 1}}),
        [*network_values(TINY), {"op": "Flatten", "with": {}, "inputs": [0]}],
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused_in_a_sentence(values: Any) -> None:
    with pytest.raises(ParseError, match=r"^the model x[: ].{10}"):
        network_from(values, "the model x")


@dataclass(frozen=True)
class Doubled(Op):
    """A layer kind from outside."""

    times: tuple[int, ...] = (2,)


def doubled(op: Op) -> Network:
    b = NetworkBuilder((1, 3, 4, 4))
    return b.build(b.add(op, b.input))


def test_a_layer_kind_of_a_plug_in_is_called_by_its_module() -> None:
    values = network_values(doubled(Doubled((3, 4))))
    assert values[1]["op"] == f"{__name__}:Doubled"
    assert there_and_back(doubled(Doubled((3, 4)))) == doubled(Doubled((3, 4)))


def test_a_file_does_not_import_a_layer_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("far_layers")
    far: Any = dataclass(frozen=True)(type("Far", (Op,), {"__module__": "far_layers"}))
    module.Far = far  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "far_layers", module)
    values = network_values(doubled(far()))
    assert network_from(values, "the model x") == doubled(far())
    monkeypatch.delitem(sys.modules, "far_layers")
    with pytest.raises(ParseError, match="'far_layers:Far', whose module is not imported"):
        network_from(values, "the model x")
    with pytest.raises(ParseError, match="cannot be imported"):
        network_from(values, "the model x", own=True)


def test_what_json_cannot_hold_is_refused() -> None:
    @dataclass(frozen=True)
    class Local(Op):
        pass

    with pytest.raises(UsageError, match="top level"):
        network_values(doubled(Local()))
    with pytest.raises(UsageError, match="cannot be saved; a layer kind has numbers"):
        network_values(doubled(Doubled(times={1: 2})))  # type: ignore[arg-type]
