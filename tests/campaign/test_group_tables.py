"""Latency tables, measured by the real engine."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign import CampaignOptions, group_tables
from latbench.campaign.group_tables import (
    GroupTable,
    measure_table,
    network_digest,
    table_for,
    whole_network,
)
from latbench.errors import NotEnoughData, StoreError, UsageError
from latbench.models import Model
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import conv_bn_act, inverted_residual
from latbench.networks.network import NetworkBuilder
from latbench.networks.weights import make_weights
from latbench.spaces import nasbench201
from latbench.sparse.groups import kept_groups_of, prunable_layers, thinned
from latbench.sparse.latency_tables import DENSITIES
from latbench.sparse.libraries import can_be_had, engine_version
from latbench.sparse.tiles import with_tiles
from latbench.store import Store
from latbench.store.table_rows import put_table, stored_tables
from latbench.testing.networks import conv_chain
from latbench.timing.protocol import Protocol

pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")
SPACE = nasbench201(channels=4, cells=1, resolution=8)
QUICK = Protocol(min_visits=2, max_visits=2, min_part_s=1e-4)
BACKEND = SimdSparse()
FAST: dict[str, Any] = {
    "protocol": QUICK, "options": CampaignOptions(parity=False), "held_out": 2,
}  # fmt: skip


def a_net() -> Model:
    b = NetworkBuilder((1, 3, 20, 20))
    x = conv_bn_act(b, b.input, 24, 3, 1, RELU)
    x = inverted_residual(b, x, 24, 3, 1, 48, RELU, residual=True)
    x = conv_bn_act(b, x, 40, 3, 2, RELU)
    network = b.build(classifier(b, x, 10))
    return Model("a net", network, make_weights(network))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "s.sqlite"
    with Store(path, SPACE) as store:
        measure_table(store, BACKEND, a_net(), **FAST)
    return path


@pytest.fixture
def path(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(measured, tmp_path / "s.sqlite"))


def read(path: Path) -> GroupTable:
    with Store(path) as store:
        return table_for(store, a_net())


class Stopped(Exception):
    """Raised instead of a campaign."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models of the campaigns that would be run; none of them is."""
    found: list[str] = []

    def stop(*given: object, models: Iterable[Model], **named: object) -> None:
        found.extend(model.name for model in models)
        raise Stopped

    monkeypatch.setattr(group_tables, "run_campaign", stop)
    return found


def test_a_table_says_of_its_own_networks_what_their_rows_say(path: Path) -> None:
    table, model = read(path), a_net()
    assert (table.model, table.conditions.options["group"]) == ("a net", 16)
    assert list(table.latency.layers) == list(prunable_layers(model.network))
    with Store(path) as store:
        (stored,) = stored_tables(store, network_digest(model))
        assert len(stored.plan["densities"]) == len(DENSITIES)
        for text, kept in stored.plan["densities"].items():
            whole = store.value(table.set_id, text)
            predicted = table.latency.latency({int(n): k for n, k in kept.items()})
            # Of two runs each, a layer may be seen to take less with more groups.
            assert predicted == pytest.approx(whole, rel=0.5)
    assert len(table.errors) == len(table.sum_errors) == 2
    assert table.error == pytest.approx(sum(map(abs, table.errors)) / 2)
    assert table.largest_error == max(map(abs, table.errors))
    for kept, seconds in table.latency.layers.values():
        assert all(a < b for a, b in itertools.pairwise(kept))
        assert all(0 < a <= b for a, b in itertools.pairwise(seconds))
    # It is of the network, whatever its weights.
    thin = Model("thin", model.network, thinned(model, 16, 0.3))
    assert table.predict(thin) == table.latency.latency(kept_groups_of(thin, 16))
    assert table.predict(thin) < table.predict(model) == table.latency.whole
    assert table.differences(model) == table.differences(with_tiles(model, table.tiles)) == []
    assert str(whole_network(model, table)) in stored.plan["densities"]


def test_what_is_there_is_not_measured_again(path: Path, asked: list[str]) -> None:
    before = read(path)
    with Store(path) as store:
        assert measure_table(store, BACKEND, a_net(), **FAST) == before
        assert measure_table(store, BACKEND, a_net(), **{**FAST, "held_out": 0}) == before
    assert asked == []


def test_noisy_rows_are_measured_again_where_that_is_asked_for(
    path: Path, asked: list[str]
) -> None:
    options = CampaignOptions(parity=False, retry_noisy=0.05)
    with Store(path) as store, pytest.raises(Stopped):
        measure_table(store, BACKEND, a_net(), **{**FAST, "options": options})
    assert len(asked) == len(DENSITIES) + 2  # the campaign knows which rows are


def test_what_is_missing_is_measured_in_the_same_tiles(path: Path) -> None:
    before, reported = read(path), list[tuple[int, int]]()
    with Store(path) as store:
        (stored,) = stored_tables(store)
        lost, *_, last = stored.plan["densities"]
        for text in (lost, last):
            store.connection.execute(
                "DELETE FROM main.measurements WHERE key = ?", (store.key(text),)
            )
            store.connection.execute("DELETE FROM main.timings WHERE key = ?", (store.key(text),))
        with pytest.raises(NotEnoughData, match=r"a net in .* lacks its network density 1: it was"):
            table_for(store, a_net())
        after = measure_table(
            store, BACKEND, a_net(), **{**FAST, "held_out": 3},
            report=lambda p: reported.append((p.done, p.total)),
        )  # fmt: skip
        assert store.value(after.set_id, lost) is not None
    assert reported[-1] == (3, 3)  # those two, and one of mixed densities more
    assert after.tiles == before.tiles
    assert len(after.errors) == 3


def other_tiles(table: GroupTable) -> Model:
    """The model with tiles of one pixel in its second step."""
    steps = list(table.tiles.steps)
    steps[1] = (1, 1, 1 - steps[1][2])
    return with_tiles(a_net(), dataclasses.replace(table.tiles, steps=tuple(steps)))


def test_a_table_of_other_tiles_is_named_and_measured_again(path: Path, asked: list[str]) -> None:
    table = read(path)
    model = other_tiles(table)
    assert table.differences(model) == [
        "of other tiles than those that are saved with the model (in steps 1 of the engine)"
    ]
    with (
        Store(path) as store,
        pytest.warns(UserWarning, match=r"table of a net in .* of other tiles .* measured again"),
        pytest.raises(Stopped),
    ):
        measure_table(store, BACKEND, model, **FAST)
    assert len(asked) == len(DENSITIES) + 2
    with Store(path) as store:
        (stored,) = stored_tables(store)
    assert stored.plan["tiles"]["steps"][1] == list(model.tuned["simd-sparse"][0]["steps"][1])
    assert all(stored.plan["tiles"]["steps"][1] != list(step) for step in [table.tiles.steps[1]])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"device": "an old CPU"}, r"of another device \(an old CPU; here it is .*\)"),
        ({"version": "0.1 abc"}, r"of another version of the engine \(0.1 abc; here it is .*\)"),
    ],
)
def test_a_table_of_another_machine_or_engine_is_named_and_stays(
    change: dict[str, str], what: str, path: Path, asked: list[str]
) -> None:
    with Store(path) as store:
        found = dataclasses.replace(store.sets()[0].set, **change)  # type: ignore[arg-type]
        store.connection.execute(
            "UPDATE main.sets SET key = ?, conditions = ?", (found.key, found.conditions)
        )
        assert table_for(store, a_net()).differences(a_net())[0].startswith("of another ")
        with (
            pytest.warns(UserWarning, match=f"{what}; that of here is measured beside it"),
            pytest.raises(Stopped),
        ):
            measure_table(store, BACKEND, a_net(), **FAST)
        assert len(stored_tables(store)) == 2
    assert len(asked) == len(DENSITIES) + 2


def damaged(name: str, value: object) -> Callable[[Store], object]:
    def damage(store: Store) -> None:
        (stored,) = stored_tables(store)
        put_table(store, dataclasses.replace(stored, plan={**stored.plan, name: value}))

    return damage


@pytest.mark.parametrize(
    ("name", "value"), [("tiles", {}), ("steps", {"2": 99}), ("steps", {}), ("mixed", 3)]
)
def test_a_plan_that_cannot_be_read_is_refused(path: Path, name: str, value: object) -> None:
    with Store(path) as store:
        damaged(name, value)(store)
        with pytest.raises(StoreError, match=r"latency table of .* into another store"):
            table_for(store, a_net())
        with pytest.raises(StoreError, match=r"latency table of .* into another store"):
            measure_table(store, BACKEND, a_net(), **FAST)


def test_a_network_that_failed_is_named_with_its_reason(path: Path) -> None:
    with Store(path) as store:
        text = list(stored_tables(store)[0].plan["densities"])[1]
        store.connection.execute(
            "UPDATE main.measurements SET status = 'failed', error = 'no memory' WHERE key = ?",
            (store.key(text),),
        )
        with pytest.raises(NotEnoughData, match=r"density 0.8: no memory; .*--retry-failed"):
            table_for(store, a_net())


def test_of_several_tables_the_one_of_here_is_taken_and_else_one_is_asked_for(path: Path) -> None:
    other = Model("another", conv_chain(layers=2, channels=8, resolution=8))
    with Store(path) as store:
        with pytest.raises(UsageError, match=r"no latency table of .*'another', but of 'a net'; "):
            table_for(store, other)
        with pytest.raises(UsageError, match=r"'a net' in set 7, but in set 1; `latbench measure"):
            table_for(store, a_net(), 7)
        found = store.sets()[0].set
        (stored,) = stored_tables(store)
        changes: list[dict[str, Any]] = [
            {"options": {**found.options, "threads": 2}}, {"device": "an old CPU"},
        ]  # fmt: skip
        for change in changes:
            second = store.add_set(dataclasses.replace(found, **change))
            store.connection.execute(
                "CREATE TEMP TABLE copied AS SELECT * FROM main.measurements WHERE set_id = 1"
            )
            store.connection.execute("UPDATE temp.copied SET set_id = ?", (second,))
            store.connection.execute("INSERT INTO main.measurements SELECT * FROM temp.copied")
            store.connection.execute("DROP TABLE temp.copied")
            put_table(store, dataclasses.replace(stored, set_id=second))
        assert table_for(store, a_net(), 3).conditions.device == "an old CPU"
        with pytest.raises(UsageError, match=r"several latency tables .* set 1 .*; set 2 .* --set"):
            table_for(store, a_net())
        assert table_for(store, a_net(), 2).set_id == 2
        store.connection.execute("DELETE FROM main.latency_tables WHERE set_id = 2")
        assert table_for(store, a_net()).set_id == 1


def test_a_network_without_layers_to_prune_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    network = conv_chain(layers=1, channels=8, resolution=8)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        with pytest.raises(UsageError, match="'flat' has no layer whose groups could be pruned"):
            measure_table(store, BACKEND, Model("flat", network))
        assert store.sets() == []


def test_the_set_is_the_one_that_campaigns_fill(path: Path) -> None:
    with Store(path) as store:
        (found,) = store.sets()
    assert (found.ok, found.failed, found.tables) == (len(DENSITIES) + 2, 0, 1)
    assert found.set.version == engine_version()
