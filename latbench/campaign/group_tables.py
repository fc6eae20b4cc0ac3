"""Latency tables of networks on ``simd-sparse``: a campaign like any other.

The networks that a table is made of, one of each density, and others of mixed densities, by which
its error is known, are timed under the ordinary protocol, in the ordinary worker, beside the
ordinary canaries, whole and step by step. Their rows are in the store, so that what was finished
stays, and the table follows from them. It is a table of the network and not of its weights, which
are invented: it holds for whatever is trained or pruned of it.

It is in the store and not in a file of its own because a measurement set states what a table holds
for (device, version of the engine, options, protocol), and because a network that is timed beside
it stands in the same canary's units.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from latbench.backends import availability_of, require
from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign.campaign import alone, run_campaign
from latbench.campaign.filling import Progress
from latbench.campaign.spec import CampaignOptions, MeasurerSpec
from latbench.campaign.table_plans import TablePlan, table_networks
from latbench.device import cpu_name, machine_profile
from latbench.errors import NotEnoughData, StoreError, UsageError, quoted
from latbench.models import Model
from latbench.networks.weights import make_weights
from latbench.sparse.groups import drawn_groups, kept_groups_of, prunable_layers, with_groups
from latbench.sparse.latency_tables import TUNED_AT, LatencyTable, TimedDensity, table_of
from latbench.sparse.libraries import engine_version
from latbench.sparse.tiles import Tiles, fitting_tiles, loaded_in_tiles, tiles_of
from latbench.store import MeasurementSet, Store
from latbench.store.table_rows import StoredTable, put_table, steps_of, stored_tables
from latbench.timing.protocol import Protocol

HELD_OUT = 16  # networks of mixed densities that a table's error is the mean over


@dataclass(frozen=True)
class GroupTable:
    """A latency table as it was measured: of the network of a model (its name then), under the
    conditions of a set, in some tiles.

    ``errors`` are those of ``latency`` for the networks of mixed densities, and ``sum_errors``
    those of the sum of such a network's own steps, scaled as the dense network's are: what no table
    of layers can be better than. They are fractions of what was measured, negative where less was
    predicted.
    """

    model: str
    set_id: int
    conditions: MeasurementSet
    tiles: Tiles
    latency: LatencyTable
    errors: tuple[float, ...]
    sum_errors: tuple[float, ...]

    @property
    def error(self) -> float | None:
        """Returns the mean of the errors' sizes; None where none was measured."""
        return sum(map(abs, self.errors)) / len(self.errors) if self.errors else None

    @property
    def largest_error(self) -> float | None:
        """Returns the largest of the errors' sizes; None where none was measured."""
        return max(map(abs, self.errors), default=None)

    def predict(self, model: Model) -> float:
        """Returns the seconds that a model of the network takes, by the groups that it keeps."""
        return self.latency.latency(kept_groups_of(model, self.tiles.group))

    def differences(self, model: Model) -> list[str]:
        """Says what is another thing here, with a model, than it was for the table."""
        return _differences(self.conditions, self.tiles, model)


def _differences(conditions: MeasurementSet, tiles: Tiles, model: Model) -> list[str]:
    pairs = {
        "device": (conditions.device, cpu_name()),
        "version of the engine": (conditions.version, engine_version()),
    }
    found = [
        f"of another {what} ({there}; here it is {here})"
        for what, (there, here) in pairs.items()
        if there != here
    ]
    for own in tiles_of(model):
        if own.suits(tiles) and own != tiles:
            steps = zip(tiles.steps, own.steps, strict=False)
            other = ", ".join(str(i) for i, (a, b) in enumerate(steps) if a != b)
            found.append(
                f"of other tiles than those that are saved with the model (in steps {other} of "
                "the engine)"
            )
    return found


def measure_table(
    store: Store,
    backend: SimdSparse,
    model: Model,
    *,
    held_out: int = HELD_OUT,
    protocol: Protocol | None = None,
    options: CampaignOptions | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    retry_failed: bool = False,
) -> GroupTable:
    """Measures the latency table of a model's network into a store, unless it is there.

    It is measured in the tiles that the model has with it for this CPU and these options, or in
    those that are found to be the fastest for a network of which ``TUNED_AT`` is left. What was
    finished before is not measured again. A table of other tiles than the model's is replaced, and
    one that was measured on another device or with another version of the engine stays beside it; a
    UserWarning names either.

    Args:
        store: The open store.
        backend: The engine, with the options of the table.
        model: The model; its weights do not matter.
        held_out: The number of networks of mixed densities to state the error by.
        protocol: How one timing is taken; None takes the defaults.
        options: How the campaign is run; None takes the defaults. Nothing is timed twice.
        report: Called with the progress after each row.
        retry_failed: Whether rows of the set that failed before count as missing.

    Returns:
        The table.

    Raises:
        UsageError: For a network without layers whose groups could be pruned.
        BackendUnavailable: Where the engine cannot be had.
        NotEnoughData: Where one of its networks could not be timed; the reason is told.
        LatbenchError: As ``run_campaign`` raises it.
    """
    require(backend)
    protocol = protocol or Protocol()
    if not prunable_layers(model.network):
        raise UsageError(
            f"the network of {quoted(model.name)} has no layer whose groups could be pruned, so "
            "that there is no latency table of it: none of its convolutions reads more than 4 "
            "channels, of more than one pixel and in one group"
        )
    conditions = _conditions(store, backend, protocol)
    set_id = store.add_set(conditions)
    stored = StoredTable(set_id, network_digest(model), {})
    with alone(backend, report):
        plan = _plan(store, stored, conditions, backend, model, held_out)
    options = replace(options or CampaignOptions(), retest=0.0, steps=True)
    again = math.isfinite(options.retry_noisy)
    texts = {*plan.densities, *plan.mixed}
    wanted = {text for text in texts if again or store.value(set_id, text) is None}
    if wanted:
        every = table_networks(model, plan.tiles, len(plan.mixed))
        run_campaign(
            store, backend, models=(one for one, _ in every if str(one) in wanted),
            protocol=protocol, options=options, report=report, retry_failed=retry_failed,
        )  # fmt: skip
    return _read(store, stored, plan)


def network_digest(model: Model) -> str:
    """Returns the digest of a model's network alone, by which a store knows its table."""
    return Model(model.name, model.network).digest


def whole_network(model: Model, table: GroupTable) -> Model:
    """Returns the network with all groups as it was timed for a table, to be timed again."""
    return next(table_networks(model, table.tiles, 0))[0]


def _conditions(store: Store, backend: SimdSparse, protocol: Protocol) -> MeasurementSet:
    """Those of the set that a campaign fills here (``BlockMeasurer.set``)."""
    spec = MeasurerSpec.of(store.space, backend, protocol)
    return MeasurementSet(
        spec.backend, spec.options, availability_of(backend).version, backend.device_name(),
        protocol, spec.canary, machine_profile(),
    )  # fmt: skip


def _plan(
    store: Store, stored: StoredTable, conditions: MeasurementSet, backend: SimdSparse,
    model: Model, held_out: int,
) -> TablePlan:  # fmt: skip
    """What the table is made of: as it was begun, or as it is begun now."""
    known = stored_tables(store, stored.network)
    begun = next((TablePlan.read(store, t) for t in known if t.set_id == stored.set_id), None)
    own = None
    if backend.tune:
        own = fitting_tiles(
            model, group=backend.group, threads=backend.threads, instructions=backend.instructions
        )
    if begun is not None and own in (None, begun.tiles):
        if len(begun.mixed) >= held_out:
            return begun
        own = begun.tiles
    elif begun is not None:
        _warn(store, model, _differences(conditions, begun.tiles, model), "it is measured again")
    else:
        _warn_of_others(store, known, conditions, model)
    plan = TablePlan.of(model, own or _tuned(backend, model), held_out)
    put_table(store, replace(stored, plan=plan.values()))
    return plan


def _warn_of_others(
    store: Store, known: Sequence[StoredTable], conditions: MeasurementSet, model: Model
) -> None:
    """Names the tables of the network that were measured on another device, or with another
    version of the engine."""
    for one in known:
        there, tiles = store.find_set(set_id=one.set_id).set, TablePlan.read(store, one).tiles
        if (there.device, there.version) != (conditions.device, conditions.version):
            differences = _differences(there, tiles, model)
            _warn(store, model, differences, "that of here is measured beside it")


def _warn(store: Store, model: Model, differences: list[str], therefore: str) -> None:
    warnings.warn(
        f"the latency table of {model.name} in {store.path} is {' and '.join(differences)}; "
        f"{therefore}",
        UserWarning, stacklevel=4,
    )  # fmt: skip


def _tuned(backend: SimdSparse, model: Model) -> Tiles:
    """The tiles that are the fastest for a thin network, or the guess where nothing is tuned."""
    stays = drawn_groups(model.network, backend.group, TUNED_AT)
    thin = with_groups(make_weights(model.network), stays, backend.group)
    with loaded_in_tiles(
        Model(model.name, model.network, thin), group=backend.group, threads=backend.threads,
        instructions=backend.instructions, tune=backend.tune,
    ) as loaded:  # fmt: skip
        return Tiles.of(loaded)


def _read(store: Store, stored: StoredTable, plan: TablePlan) -> GroupTable:
    """The table that the rows of a store give. Raises NotEnoughData where one is missing."""
    knots = {text: _timed(store, stored, plan, text) for text in plan.densities}
    there = [text for text in plan.mixed if store.value(stored.set_id, text) is not None]
    mixed = [_timed(store, stored, plan, text) for text in there]
    latency = table_of([one for one, _ in knots.values()])
    whole, steps = max((one.whole, steps) for one, steps in knots.values())
    return GroupTable(
        plan.model, stored.set_id, store.find_set(set_id=stored.set_id).set, plan.tiles, latency,
        tuple(latency.latency(one.kept) / one.whole - 1 for one, _ in mixed),
        tuple(whole / steps * own / one.whole - 1 for one, own in mixed),
    )  # fmt: skip


def _timed(
    store: Store, stored: StoredTable, plan: TablePlan, text: str
) -> tuple[TimedDensity, float]:
    """A network of a table as it was timed, and the sum of its steps (seconds)."""
    whole = store.value(stored.set_id, text)
    steps = steps_of(store, stored.set_id, text)
    if whole is None or steps is None:
        why = store.failures(stored.set_id).get(text, "it was not timed yet")
        raise NotEnoughData(
            f"the latency table of {plan.model} in {store.path} lacks its network "
            f"{text.partition(' in ')[0]}: {why}; `latbench measure --tables` goes on with it, and "
            "with --retry-failed tries what failed again"
        )
    scale, kept = whole / sum(steps), {**plan.densities, **plan.mixed}[text]
    try:
        layers = {layer: scale * steps[place] for layer, place in plan.steps.items()}
        return TimedDensity(kept, whole, {layer: layers[layer] for layer in kept}), sum(steps)
    except LookupError as error:
        raise StoreError(
            f"the latency table of {plan.model} in {store.path} is damaged: its plan does not fit "
            "its rows; measure it into another store"
        ) from error


def table_for(store: Store, model: Model, set_id: int | None = None) -> GroupTable:
    """Reads the table of a model's network: of several, one of what is here.

    Args:
        store: The open store.
        model: The model.
        set_id: The number of the table's set; None where the choice is clear.

    Returns:
        The table.

    Raises:
        UsageError: Where the store has none of this network, and where several fit equally.
        NotEnoughData: Where it was not measured to its end.
        StoreError: Where it cannot be read.
    """
    every = stored_tables(store, network_digest(model))
    found = [one for one in every if set_id in (None, one.set_id)]
    if not found:
        others = sorted({str(one.plan.get("model")) for one in stored_tables(store)})
        of_set = "" if set_id is None else f" in set {set_id}"
        known = f"of {', '.join(map(quoted, others))}" if others else ""
        if every:
            known = f"in set {', '.join(str(one.set_id) for one in every)}"
        raise UsageError(
            f"{store.path} has no latency table of the network of {quoted(model.name)}{of_set}"
            f"{', but ' * bool(known)}{known}; `latbench measure --tables --model FOLDER` measures "
            "it"
        )
    tables = [_read(store, one, TablePlan.read(store, one)) for one in found]
    least = min(len(table.differences(model)) for table in tables)
    nearest = [table for table in tables if len(table.differences(model)) == least]
    if len(nearest) > 1:
        listed = "; ".join(f"set {t.set_id} ({t.conditions.options})" for t in nearest)
        raise UsageError(
            f"{store.path} has several latency tables of the network of {quoted(model.name)}: "
            f"{listed}; name one with --set"
        )
    return nearest[0]
