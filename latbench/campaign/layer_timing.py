"""The timing of each layer of a space alone, for ``LookupTable``: a campaign like any other.

Each layer's network is timed under the ordinary protocol, in the ordinary worker, beside the
ordinary canaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.backends import backend_spec
from latbench.backends.base import Backend
from latbench.campaign.campaign import CampaignOptions, Progress, run_campaign
from latbench.encodings import encode
from latbench.encodings.layers import unpack_layers
from latbench.errors import NotEnoughData, UsageError
from latbench.spaces import AnySpace, make_space
from latbench.store import Store
from latbench.timing.protocol import Protocol

# A table is timed once: no row of it is needed twice to state a noise floor of networks.
OPTIONS = CampaignOptions(retest=0.0)


def layer_space(space: AnySpace) -> AnySpace:
    """Returns the space of ``space``'s single layers: what the store of ``measure_layers`` must be
    of. Its architectures are numbered as ``space.layer_kinds()`` are; the last one is ``space``'s
    reference."""
    return make_space("isolated_layers", {"of": str(space)})


def _layers(store: Store) -> int:
    """How many layers a store of single layers is of."""
    if store.space.parent is None:
        raise UsageError(
            f"{store.path} is a store of {store.space}; make one of layer_space(space) for layers"
        )
    return len(store.space.layer_kinds())


def measure_layers(
    store: Store,
    backend: Backend,
    *,
    protocol: Protocol | None = None,
    options: CampaignOptions = OPTIONS,
    report: Callable[[Progress], None] = lambda progress: None,
) -> tuple[float, ...]:
    """Times each of a space's layers alone.

    Args:
        store: A store of ``layer_space(space)``; rows that it already has are not timed again.
        backend: The backend to measure on.
        protocol: How one timing is taken; None takes the defaults.
        options: How the campaign is run.
        report: Called with the progress after each row.

    Returns:
        The seconds of each layer, in the order of ``space.layer_kinds()``.

    Raises:
        UsageError: For a store of another space.
        NotEnoughData: For layers that could not be timed, which it names.
        LatbenchError: As ``run_campaign`` raises it.
    """
    run_campaign(
        store, backend, architectures=[store.space.unrank(i) for i in range(_layers(store))],
        protocol=protocol, options=options, report=report,
    )  # fmt: skip
    return layer_table(store, backend_spec(backend)[0])


def layer_table(store: Store, backend: str | None = None) -> tuple[float, ...]:
    """Returns the table of a store that ``measure_layers`` filled.

    Raises NotEnoughData when layers are missing, UsageError for an unknown backend.
    """
    layers = [store.space.unrank(i) for i in range(_layers(store))]
    found = store.find_set(backend)
    values = [store.value(found.id, str(layer)) for layer in layers]
    missing = [
        str(store.space.layer_kinds()[i][0]) for i, value in enumerate(values) if value is None
    ]
    if missing:
        raise NotEnoughData(
            f"{len(missing)} of {len(layers)} layers could not be timed alone, the first is "
            f"{missing[0]}; see their errors in {store.path}"
        )
    return tuple(float(value) for value in values if value is not None)


def sum_of_layers(
    space: AnySpace, architectures: Sequence[Any], table: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Returns the plain sum of a table over each network's layers, ``(n,)``, in the table's unit.

    FBNet and ProxylessNAS use it: nothing is fitted. Raises UsageError for a table of another
    space.
    """
    counts = unpack_layers(encode(space, architectures, "layers").astype(np.float64)).counts
    if counts.shape[1] != len(table):
        raise UsageError(f"the table has {len(table)} layers, {space} has {counts.shape[1]}")
    return np.asarray(counts @ np.array(table))
