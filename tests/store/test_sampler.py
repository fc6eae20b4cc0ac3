"""A store keeps the sampler that its seeds are of, and what it began goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import SPACE, contents, make_set, row

from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.plan import Plan
from latbench.errors import StoreError
from latbench.sampling.rounds import pool_of, space_filling_indices
from latbench.spaces import AnySpace, nasbench201
from latbench.spaces.base import SAMPLER
from latbench.store import Store
from latbench.store.doctor import examine
from latbench.store.merge import merge
from latbench.store.schema import SCHEMA_VERSION
from latbench.testing import CostModelBackend

# What latbench 0beca2b measured (sampler_1.sql) and would have measured next: of seed 4, the index
# and the number of each architecture. Two of the first eight are one network.
BEGUN = {0: 15373, 1: 2772, 2: 1116, 3: 166, 4: 2706, 5: 9655, 6: 2031, 7: 3974}
NEXT = {
    8: 3640, 9: 13905, 10: 7574, 11: 804, 12: 13001, 13: 13970, 14: 5169, 15: 7200, 16: 3288,
    17: 2332, 18: 15413, 19: 689,
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The store that the code before sampler 2 made."""
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(Path(__file__).with_name("sampler_1.sql").read_text())
    return path


def made(path: Path, space: AnySpace, *indices: int, named: bool = False) -> Path:
    """A store of a space's sample, or of a named architecture."""
    with Store(path, space) as store:
        set_id = store.add_set(make_set())
        for i in indices:
            changes: dict[str, Any] = {"sample_index": None, "seed": None} if named else {}
            store.add(set_id, row(i, architecture=str(space.sample(0, i)), **changes))
    return path


def sampler_of(path: Path) -> int:
    with Store(path) as store:
        return store.space.sampler


def test_an_old_store_goes_on_with_the_old_sampler(old: Path) -> None:
    with Store(old) as store:
        space, done = store.space, store.done(1, 4)
        drawn = {i: space.rank(a) for i, a in space.unique_samples(4, 20)}
        assert drawn == BEGUN | NEXT
        assert dict(zip(done.index.tolist(), done.first.tolist(), strict=True)) == BEGUN
        plan = [t for block in Plan(space, 4, 20, (), done, size=8, retest=0) for t in block]
        assert {t.sample_index: store.key(t.architecture) for t in plan} == NEXT
        assert not list(Plan(space, 4, 8, (), done, size=8, retest=0.1))
        assert set(BEGUN) < set(pool_of(space, 4, 20))
        chosen = space_filling_indices(space, 4, 30)
        assert all(pool_of(space, 4, 30)[i] == space.sample(4, i) for i in chosen)
        (found,) = store.sets()
        assert (found.ok, found.networks) == (8, 7)
        assert store.dataset().space.sampler == SAMPLER  # it is the space of everything else
    assert sampler_of(old) == 1
    assert examine(old) == []


@pytest.mark.slow
def test_a_campaign_on_an_old_store_measures_what_it_would_have(old: Path) -> None:
    with Store(old) as store:
        options = CampaignOptions(retest=0, block=8)
        set_id = run_campaign(store, CostModelBackend(), n=20, seed=4, options=options).set_id
        done = store.done(set_id, 4)
    found = dict(zip(done.index.tolist(), done.first.tolist(), strict=True))
    assert found.items() >= NEXT.items()


def test_a_new_store_says_which_sampler_it_has(tmp_path: Path) -> None:
    new = made(tmp_path / "new.sqlite", SPACE, 0, 1)
    again = made(tmp_path / "again.sqlite", SPACE.with_sampler(1), 0, 1)
    assert (sampler_of(new), sampler_of(again)) == (SAMPLER, 1)
    with closing(sqlite3.connect(new)) as db:
        # An older latbench, which would go on with another sampler, refuses the file.
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,) == (8,)


@pytest.mark.parametrize("named", ["3", "", "two", "-1"])
def test_an_unknown_sampler_is_refused_by_name(tmp_path: Path, named: str) -> None:
    path = made(tmp_path / "s.sqlite", SPACE, 0)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'sampler'", (named,))
    with pytest.raises(StoreError, match=f"of sampler '{named}', this latbench has 1 to 2"):
        Store(path)
    (said,) = examine(path)
    assert "of sampler" in said


def test_samples_of_two_samplers_are_not_merged(old: Path, tmp_path: Path) -> None:
    space = nasbench201(channels=4, cells=1, resolution=8)
    new, named = made(tmp_path / "new.sqlite", space, 0), tmp_path / "named.sqlite"
    with pytest.raises(StoreError, match=r"old\.sqlite were drawn by sampler 1, those of .*new\."):
        merge(tmp_path / "out.sqlite", [new, old])
    assert not (tmp_path / "out.sqlite").exists()
    # Of architectures that somebody named there is no seed.
    made(named, space, 0, named=True)
    assert merge(tmp_path / "out.sqlite", [named, old]) == 14
    assert merge(tmp_path / "other.sqlite", [new, named], keep="first") == 1
    assert (sampler_of(tmp_path / "out.sqlite"), sampler_of(tmp_path / "other.sqlite")) == (1, 2)


@pytest.mark.parametrize("version", [1, 2])
def test_a_parquet_file_keeps_the_sampler(tmp_path: Path, version: int) -> None:
    pytest.importorskip("pyarrow")
    from latbench.store.parquet import export_parquet, import_parquet

    path = made(tmp_path / "s.sqlite", SPACE.with_sampler(version), 0, 1)
    with Store(path) as store:
        export_parquet(store, tmp_path / "s.parquet")
    import_parquet(tmp_path / "s.parquet", tmp_path / "again.sqlite")
    assert contents(tmp_path / "again.sqlite") == contents(path)


def test_a_parquet_file_of_before_is_of_the_first_sampler(old: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import json

    import pyarrow.parquet as pq

    from latbench.store.parquet import export_parquet, import_parquet

    with Store(old) as store:
        export_parquet(store, tmp_path / "now.parquet")
    table = pq.read_table(tmp_path / "now.parquet")
    header = json.loads(table.schema.metadata[b"latbench_store"])
    del header["sampler"]
    header["schema_version"] = 3
    for name, changes in (("before", {}), ("after", {"sampler": 3})):
        metadata = {b"latbench_store": json.dumps(header | changes)}
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / f"{name}.parquet")
    import_parquet(tmp_path / "before.parquet", tmp_path / "again.sqlite")
    assert sampler_of(tmp_path / "again.sqlite") == 1
    with pytest.raises(StoreError, match=r"after\.parquet are of sampler '3'"):
        import_parquet(tmp_path / "after.parquet", tmp_path / "none.sqlite")


def test_a_set_says_how_many_different_networks_it_holds(tmp_path: Path) -> None:
    twins = np.flatnonzero(SPACE.canonical_ranks(np.arange(SPACE.size)) == 0)[:3].tolist()
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        for i, rank in enumerate([*twins, 2000]):
            store.add(set_id, row(i, architecture=str(SPACE.unrank(rank))))
        store.add(set_id, row(0, repeat=1, architecture=str(SPACE.unrank(2000))))
        (found,) = store.sets()
    assert (found.ok, found.networks, found.rows) == (4, 2, 5)
