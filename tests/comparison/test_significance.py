"""What changed is found, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from timed import SPACE, backend, make_set, measure, pools

from latbench.comparison.significance import Comparison, compare
from latbench.errors import NotEnoughData, SpaceMismatchError, UsageError
from latbench.report.sections.change_sentences import cautions
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.store.sides import pair_sides
from latbench.timing.noise import floor_for
from latbench.timing.protocol import Protocol


def compared(a: Path, b: Path) -> Comparison:
    ((one, other),) = pair_sides(a, b)
    return compare(one, other)


def counted(c: Comparison) -> list[int]:
    """How many pools every shared architecture has."""
    return [pools(SPACE.build(SPACE.unrank(int(rank)))) for rank in c.ranks]


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return measure(tmp_path / "a.sqlite", backend(seed=1))


def test_five_per_cent_in_one_kind_of_operation_are_found(before: Path, tmp_path: Path) -> None:
    c = compared(before, measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2)))
    has = np.array(counted(c)) > 0
    assert c.shared == 60
    assert 20 < has.sum() < 60
    assert (c.absolute.beyond == has).mean() > 0.95
    assert not c.absolute.beyond[~has].any()
    assert (c.absolute.change[c.absolute.beyond] > 0).all()
    assert (c.absolute.change < 0.06).all()
    # The whole is what the formula says, within its interval.
    truth = []
    for rank in c.ranks:
        network = SPACE.build(SPACE.unrank(int(rank)))
        old, new = (backend(pool=p).latency_of(network) for p in (1.0, 1.05))
        truth.append(np.log(new / old))
    assert c.whole.clear
    assert c.whole.low < np.expm1(np.mean(truth)) < c.whole.high
    # Architectures without the operation changed otherwise than the mean.
    assert c.against.beyond[~has].mean() > 0.5
    assert (c.against.change[~has] < 0).all()


def test_a_change_of_the_visible_size_is_the_least_that_is_seen_alone(
    before: Path, tmp_path: Path
) -> None:
    again = measure(tmp_path / "b.sqlite", backend(seed=2))
    c = compared(before, again)
    assert c.visible is not None
    assert 0.005 < c.visible < 0.05
    i = 30  # in the middle of the noise
    needed = c.absolute.visible[i]
    for times, seen in ((0.98, False), (1.02, True)):
        ((a, b),) = pair_sides(before, again)
        b.log_relative[i] += np.log1p(times * needed) - np.log1p(c.absolute.change[i])
        assert compare(a, b).absolute.beyond.tolist() == [seen and k == i for k in range(60)]
    unknown = compared(
        measure(tmp_path / "c.sqlite", backend(), retest=0),
        measure(tmp_path / "d.sqlite", backend(), retest=0),
    )
    assert unknown.visible is None


def test_where_nothing_changed_nothing_is_called_changed(before: Path, tmp_path: Path) -> None:
    """Of stores; how often intervals hold 0, and how often one is called changed, says
    ``test_coverage``."""
    for seed in (2, 3, 4):
        again = measure(tmp_path / f"{seed}.sqlite", backend(seed=seed))
        c = compared(before, again)
        assert c.judged
        assert not c.absolute.beyond.any()
        assert not c.against.beyond.any()
        assert abs(c.whole.value) < 0.005
        assert c.whole.high - c.whole.low < 0.01


def test_a_side_knows_beside_which_timing_each_canary_was(before: Path) -> None:
    with closing(sqlite3.connect(before)) as db:
        rows = db.execute("SELECT key, canary_s FROM measurements ORDER BY finished").fetchall()
    ((side, _),) = pair_sides(before, before, sets=(1, 1))
    assert [(int(side.ranks[i]), c) for i, c in zip(side.timed, side.canary_s, strict=True)] == rows
    assert np.bincount(side.timed).tolist() == side.repeats.tolist()


def test_a_machine_that_is_slower_shows_in_the_canary_and_nowhere_else(
    before: Path, tmp_path: Path
) -> None:
    c = compared(before, measure(tmp_path / "b.sqlite", backend(speed=1.1, seed=2)))
    assert c.whole.low < 0.1 < c.whole.high
    assert c.canary is not None
    assert c.relative is not None
    assert c.canary.low < 0.1 < c.canary.high
    assert abs(c.relative.value) < 0.005
    assert c.absolute.beyond.all()
    assert not c.against.beyond.any()


def test_a_session_of_the_canary_is_no_change(before: Path, tmp_path: Path) -> None:
    """A canary that happens to be 0.4 % faster makes everything else relatively slower."""
    after = measure(tmp_path / "b.sqlite", backend(seed=2))
    with closing(sqlite3.connect(after)) as db:
        db.execute(
            "UPDATE measurements SET relative = relative * 1.004, canary_s = canary_s / 1.004"
        )
        db.commit()
    c = compared(before, after)
    assert c.canary is not None
    assert c.relative is not None
    assert [x.clear for x in (c.canary, c.relative, c.whole)] == [False, False, False]
    assert c.relative.value > 0.003
    assert abs(c.whole.value) < 0.002


def test_intervals_of_single_architectures_hold_what_they_promise(
    before: Path, tmp_path: Path
) -> None:
    held = []
    for seed in range(2, 7):
        c = compared(before, measure(tmp_path / f"{seed}.sqlite", backend(seed=seed)))
        held.append(((c.absolute.low <= 0) & (c.absolute.high >= 0)).mean())
    # Wider than 95 % is possible: a timing's variance is the larger of two estimates.
    assert np.mean(held) > 0.93


def test_intervals_are_no_wider_than_the_noise(before: Path, tmp_path: Path) -> None:
    c = compared(before, measure(tmp_path / "b.sqlite", backend(seed=2)))
    half = (c.absolute.high - c.absolute.low) / 2
    # Two sessions differ by sqrt(2) * 0.3 %, runs and canaries add some of the same size.
    assert 0.005 < np.median(half) < 0.03


def test_a_wide_interval_of_a_row_counts(before: Path, tmp_path: Path) -> None:
    after = measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2))
    with closing(sqlite3.connect(after)) as db:
        db.execute("UPDATE measurements SET half_width = 0.5")
        db.commit()
    assert not compared(before, after).absolute.beyond.any()


def test_without_shared_architectures_the_distributions_are_compared(
    before: Path, tmp_path: Path
) -> None:
    other = measure(tmp_path / "b.sqlite", backend(speed=4.0, seed=2), n=40, seed=7)
    with closing(sqlite3.connect(before)) as a, closing(sqlite3.connect(other)) as b:
        ranks = a.execute("SELECT key FROM measurements").fetchall()
        b.executemany("DELETE FROM measurements WHERE key = ?", ranks)
        b.commit()
    c = compared(before, other)
    assert (c.shared, c.paired, len(c.absolute.change)) == (0, False, 0)
    assert c.whole.clear
    assert c.whole.low < 3.0 < c.whole.high


def test_without_retests_nothing_is_judged(tmp_path: Path) -> None:
    a, b = (
        measure(tmp_path / f"{i}.sqlite", backend(pool=i, seed=i), n=20, retest=0) for i in (1, 2)
    )
    c = compared(a, b)
    assert not c.judged
    assert not c.absolute.beyond.any()
    assert c.whole.clear


def test_one_side_s_noise_stands_for_the_other_s(before: Path, tmp_path: Path) -> None:
    after = measure(tmp_path / "b.sqlite", backend(pool=1.5, seed=2), retest=0)
    c = compared(before, after)
    assert c.judged
    assert c.absolute.beyond.any()


def test_different_canaries_have_no_relative_change(before: Path, tmp_path: Path) -> None:
    after = measure(tmp_path / "b.sqlite", backend(seed=2), canary="another")
    c = compared(before, after)
    assert (c.canary, c.relative) == (None, None)
    assert abs(c.whole.value) < 0.005


def test_timings_without_any_noise_are_equal(tmp_path: Path) -> None:
    a, b = (measure(tmp_path / name, backend(noise=0)) for name in ("a", "b"))
    c = compared(a, b)
    assert not c.absolute.beyond.any()
    assert np.isfinite([c.absolute.low, c.absolute.high]).all()


def test_two_dates_of_one_set(tmp_path: Path) -> None:
    path = measure(tmp_path / "a.sqlite", backend(seed=1), n=30, retest=30)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE measurements SET finished = 1000 + 1000 * repeat + key % 7")
        db.commit()
    ((a, b),) = pair_sides(path, path, split=1500.0)
    assert (len(a.ranks), len(b.ranks), len(a.pairs), a.failed) == (30, 30, 0, 0)
    assert a.last < 1500 <= b.first
    with pytest.raises(NotEnoughData, match="0 measured architectures from 1970-01-01"):
        pair_sides(path, path, split=86400.0 / 2)


def test_where_occasions_differ_by_more_that_noise_is_what_judges(
    before: Path, tmp_path: Path
) -> None:
    after = measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2))
    usual = compared(before, after)
    for path in (before, after):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE measurements SET occasion = 1")
            columns = "set_id, key, status, half_width, raw_s, canary_s"
            db.execute(
                f"INSERT INTO measurements ({columns}, repeat, occasion, finished, relative)"
                f" SELECT {columns}, 2, 2, finished + 10000, relative *"
                " (1 + 0.1 * (key % 2)) FROM measurements WHERE repeat = 1"
            )
    ((a, b),) = pair_sides(before, after)
    later = compare(a, b)
    assert (len(a.pairs), len(a.apart)) == (20, 20)
    assert a.noise_floor == usual.a.noise_floor
    assert floor_for(a.floors, crosses=True) == a.floors.between
    assert a.repeats_of is a.apart
    assert usual.absolute.beyond.any()
    assert (later.visible or 0) > 3 * (usual.visible or 1)
    said = "was measured on neither"
    assert any(said in text for text in cautions(usual))
    assert not any(said in text for text in cautions(later))


def test_two_protocols_are_said_to_be_two(before: Path, tmp_path: Path) -> None:
    old = Protocol(version=1, min_visits=8, max_visits=8)
    c = compared(before, measure(tmp_path / "b.sqlite", backend(seed=2), protocol=old))
    assert any("different protocols" in text for text in cautions(c))


def test_two_sets_of_one_store(before: Path) -> None:
    with pytest.raises(UsageError, match="one set of each backend"):
        pair_sides(before, before)
    measure(before, backend(pool=1.05, seed=2), n=30, version="2")
    for chosen in (None, (1, 2)):
        ((a, b),) = pair_sides(before, before, sets=chosen)
        assert (a.set.version, b.set.version) == ("1", "2")
        assert compare(a, b).absolute.beyond.any()
    measure(before, backend(seed=3), n=10, version="3")
    with pytest.raises(UsageError, match=r"several sets of fake .*1 and 2, 1 and 3.*--sets"):
        pair_sides(before, before)
    with pytest.raises(UsageError, match="no measurement set 9"):
        pair_sides(before, before, sets=(1, 9))


def test_each_backend_of_two_stores_is_paired(before: Path, tmp_path: Path) -> None:
    after = measure(tmp_path / "b.sqlite", backend(seed=2), n=10)
    for path in (before, after):
        measure(path, backend(seed=3), n=10, backend="other")
        measure(path, backend(seed=3), n=10, backend="other", options={"threads": 2})
    with pytest.raises(UsageError, match="several sets of other"):
        pair_sides(before, after)
    ((a, b),) = pair_sides(before, after, "fake")
    assert (a.set.backend, b.set.backend) == ("fake", "fake")


def test_what_cannot_be_compared_is_refused(before: Path, tmp_path: Path) -> None:
    other = measure(tmp_path / "o.sqlite", backend(), n=3, backend="other")
    with pytest.raises(UsageError, match=r"no backend is in both.*fake.*other"):
        pair_sides(before, other)
    with pytest.raises(UsageError, match=r"set 1 of .* is of fake, set 1 of .* of other"):
        pair_sides(before, other, sets=(1, 1))
    with pytest.raises(UsageError, match="no measurements of nope are in both"):
        pair_sides(before, before, "nope")
    space = nasbench201(channels=8, cells=1, resolution=8)
    wide = measure(tmp_path / "w.sqlite", backend(), n=3, space=space)
    with pytest.raises(SpaceMismatchError, match="only stores of one space"):
        pair_sides(before, wide)
    few = measure(tmp_path / "f.sqlite", backend(), n=2)
    with pytest.raises(NotEnoughData, match=r"2 measured architectures; .* needs 3"):
        pair_sides(before, few)


def test_a_failed_set_is_no_candidate(before: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "b.sqlite", SPACE) as store:
        store.add_set(make_set(protocol=Protocol()))
    with pytest.raises(UsageError, match="holds none"):
        pair_sides(before, tmp_path / "b.sqlite")
