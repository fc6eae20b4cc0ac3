"""``latbench measure --tables``: the latency tables of named networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from latbench.cli.common import interruptible, milliseconds, show
from latbench.cli.round_bars import kept
from latbench.errors import UsageError
from latbench.text import percent

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.models import Model
    from latbench.store import Store

_SHOWN = (1.0, 0.5, 0.2, 0.1)  # densities


def check_tables(backend: Backend, ray: str | None, named: bool) -> None:
    """Raises UsageError where no latency tables can be measured."""
    from latbench.backends.simd_sparse import SimdSparse

    if not isinstance(backend, SimdSparse):
        raise UsageError(
            f"latency tables are of the groups of weights that simd-sparse skips, not of "
            f"{backend.name}; take --backend simd-sparse, or leave --tables out"
        )
    if not named or ray is not None:
        raise UsageError(
            "latency tables are of single networks, measured on this machine; name models with "
            "--model or --network, without --ray"
        )


def measure_tables(
    store: Store, backend: Any, models: Sequence[Model], settings: dict[str, Any], as_json: bool
) -> None:  # fmt: skip
    """Measures the latency tables of models' networks, and prints what they say.

    Args:
        store: The open store.
        backend: The backend, simd-sparse.
        models: The models.
        settings: The arguments of ``measure_table``.
        as_json: Whether the command prints JSON, beside which no table is printed.
    """
    from latbench.campaign.group_tables import measure_table
    from latbench.progress import Bars, of_campaign

    rows: list[dict[str, Any]] = []
    for model in models:
        with interruptible(kept(store)), Bars().bar(f"latency table of {model.name}") as step:
            table = measure_table(store, backend, model, **settings, report=of_campaign(step))
        rows.append(
            {"network of": model.name, "set": str(table.set_id)}
            | {f"{d:.0%} of the groups": milliseconds(table.latency.at(d)) for d in _SHOWN}
            | {"mean error": percent(table.error), "largest error": percent(table.largest_error)}
        )
    if not as_json:
        show(rows, False, "Latency by the tables of the layers")
