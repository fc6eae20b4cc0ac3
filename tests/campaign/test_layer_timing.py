"""Layers timed alone by real workers, on a backend whose formula is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latbench.campaign.layer_timing import (
    layer_space,
    layer_table,
    measure_layers,
    sum_of_layers,
)
from latbench.encodings import encode
from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.families.lookup_table import LookupTable
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.testing import CostModelBackend
from latbench.timing.protocol import Protocol

SPACE = nasbench201(channels=4, cells=1, resolution=8)
PROTOCOL = Protocol(min_visits=2, max_visits=2)


def test_a_measured_table_predicts_whole_networks(tmp_path: Path) -> None:
    backend = CostModelBackend(noise=0.0)
    with Store(tmp_path / "layers.sqlite", layer_space(SPACE)) as store:
        table = measure_layers(store, backend, protocol=PROTOCOL)
        assert layer_table(store) == table
        assert measure_layers(store, backend, protocol=PROTOCOL) == table  # from the store
    for i, seconds in enumerate(table):
        alone = backend.latency_s(layer_space(SPACE).build(layer_space(SPACE).unrank(i)))
        assert seconds == pytest.approx(alone, rel=0.05)
    architectures = [SPACE.sample(0, i) for i in range(40)]
    truth = np.array([backend.latency_s(SPACE.build(a)) for a in architectures])
    X = encode(SPACE, architectures, "layers")
    fitted = LookupTable(table).fit(X[:8], truth[:8])
    np.testing.assert_allclose(fitted.predict(X), truth, rtol=0.05)
    plain = sum_of_layers(SPACE, architectures, table)
    assert np.corrcoef(plain, truth)[0, 1] > 0.95


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    backend = CostModelBackend(noise=0.0)
    with Store(tmp_path / "s.sqlite", SPACE) as store, pytest.raises(UsageError, match="layer_spa"):
        measure_layers(store, backend)
    with Store(tmp_path / "layers.sqlite", layer_space(SPACE)) as store:
        measure_layers(store, backend, protocol=PROTOCOL)
        store.connection.execute("DELETE FROM main.measurements WHERE key = 0")
        with pytest.raises(NotEnoughData, match=r"1 of \d+ layers .* the first is Conv"):
            layer_table(store)
    with pytest.raises(UsageError, match="the table has 3 layers"):
        sum_of_layers(SPACE, [SPACE.reference()], [1.0] * 3)
    assert len(SPACE.layer_kinds()) > 30
