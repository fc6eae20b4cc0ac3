"""The page of what changed is sound and says what the comparison found."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pages import sound
from specifications import Specification
from timed import backend, measure

from latbench.comparison.significance import Comparison, compare
from latbench.comparison.variance import Change
from latbench.report import charts
from latbench.report.charts.change_charts import rows_to_draw
from latbench.report.sections.change_page import architectures_table, render_changes, whole_table
from latbench.report.sections.change_sentences import sentences
from latbench.store.sides import pair_sides


@pytest.fixture
def changed(tmp_path: Path) -> Comparison:
    a = measure(tmp_path / "a.sqlite", backend(seed=1), n=40)
    b = measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2), n=40, version="<b>2")
    ((one, other),) = pair_sides(a, b)
    return compare(one, other)


def said(comparison: Comparison) -> str:
    return " ".join(sentences(comparison)).replace("\u00a0", " ")


def test_the_page_is_sound_and_has_its_parts(changed: Comparison) -> None:
    page = sound(render_changes([changed], "What changed", ["Only in A: set 7."]))
    assert "Only in A: set 7." in page.text
    for words in (
        "What changed", "became slower as a whole", "The change as a whole",
        "Latency relative to the canary", "Change of every shared architecture",
        "The two sides", "Conditions that differ", "<b>2", "Benjamini and Hochberg",
        "All 40 shared architectures on fake", "Noise floor",
    ):  # fmt: skip
        assert words in page.text, words
    assert [d.split(" over latency")[0] for d in page.descriptions] == [
        "Change of latency from A to B", page.descriptions[1],
    ]  # fmt: skip


def test_the_chart_tells_what_is_beyond_the_noise_from_the_rest(changed: Comparison) -> None:
    drawn = Specification(charts.change_against_latency(changed))
    rows = drawn.rows("point")
    beyond = int(changed.absolute.beyond.sum())
    assert [row["series"] for row in rows].count("beyond the noise") == beyond
    assert all("~0|" in row["architecture"] for row in rows)
    whole = changed.whole.value
    assert any(at == pytest.approx(whole, rel=1e-4) for at in drawn.references("change"))
    assert f"{beyond} of 40 beyond the noise" in drawn.description
    bars = Specification(charts.change_histogram(changed))
    assert sum(row["count"] for row in bars.rows("rect")) == 40
    assert bars.references("low") == {0: "no change"}
    sides = Specification(charts.distributions(changed))
    assert {row["series"] for row in sides.rows("line")} == {"A", "B"}


def test_several_backends_are_sections(changed: Comparison) -> None:
    page = sound(render_changes([changed, changed], "Two"))
    assert [a["id"] for a in page.all("section") if (a["id"] or "").startswith("changes-")] == [
        "changes-0", "changes-1",
    ]  # fmt: skip


def test_distributions_alone_make_a_page(changed: Comparison) -> None:
    nothing = changed.ranks[:0]
    empty = dataclasses.replace(
        changed.absolute, change=np.zeros(0), low=np.zeros(0), high=np.zeros(0),
        beyond=np.zeros(0, bool), visible=np.zeros(0),
    )  # fmt: skip
    apart = dataclasses.replace(
        changed, ranks=nothing, a_s=np.zeros(0), b_s=np.zeros(0), absolute=empty,
        against=empty,
    )  # fmt: skip
    page = sound(render_changes([apart], "Apart"))
    assert "Distributions" in page.text
    assert "share 0 architectures; only their distributions" in page.text.replace("\u00a0", " ")


def test_the_table_lists_what_is_beyond_the_noise_first(changed: Comparison) -> None:
    verdicts = [row[4].text for row in architectures_table(changed, 1000).rows]
    n = int(changed.absolute.beyond.sum())
    assert 0 < n < 40
    assert verdicts == ["slower"] * n + ["within noise"] * (40 - n)
    assert len(architectures_table(changed, 7).rows) == 7


def test_all_that_is_beyond_the_noise_is_drawn_before_the_rest(changed: Comparison) -> None:
    n = int(changed.absolute.beyond.sum())
    drawn = rows_to_draw(changed, n + 3)
    assert len(drawn) == len(set(drawn.tolist())) == n + 3
    assert changed.absolute.beyond[drawn].sum() == n
    assert changed.absolute.beyond[rows_to_draw(changed, 3)].all()
    assert len(rows_to_draw(changed, 1000)) == 40


def test_how_much_the_noise_hides_is_said(changed: Comparison, tmp_path: Path) -> None:
    assert re.search(
        r"The noise floor is 0\.\d+ % on A and 0\.\d+ % on B; a change of one architecture alone "
        r"shows from about [12]\.\d % on\.", said(changed),
    )  # fmt: skip
    few = measure(tmp_path / "few.sqlite", backend(seed=3, noise=0.02), n=40, retest=4)
    ((one, other),) = pair_sides(few, few, sets=(1, 1))
    assert re.search(
        r"The noise is high: the noise floor is (\S+ %) on A and \1 on B \(4 and 4 retests\), "
        r".* so only changes of one architecture alone beyond about \d+ % could be seen\. Measure",
        said(compare(one, other)),
    )
    hopeless = dataclasses.replace(changed.absolute, visible=np.full(40, np.inf))
    assert "so no change of one architecture alone could be seen" in said(
        dataclasses.replace(changed, absolute=hopeless)
    )


NOTHING, SLOWER = Change(0.001, -0.01, 0.012), Change(0.1, 0.09, 0.11)


def test_sentences_claim_no_more_than_the_intervals(changed: Comparison) -> None:
    none = dataclasses.replace(changed.absolute, beyond=changed.absolute.beyond & False)
    calm = dataclasses.replace(
        changed, whole=NOTHING, canary=NOTHING, relative=NOTHING, absolute=none
    )
    text = said(calm)
    assert "no change as a whole beyond the noise from A to B, +0.10 %" in text
    assert "None of the 40 shared architectures changed beyond the noise" in text
    assert "slower" not in text
    both = dataclasses.replace(calm, whole=SLOWER, canary=SLOWER)
    assert "was slower as a whole on B than on A, +10.0 %" in said(both)
    assert "may be the machine's speed" in said(both)
    assert "The canary, a fixed network timed beside every architecture" in said(both)
    assert "No change was seen where an interval holds 0 %" in said(both)
    apart = dataclasses.replace(calm, whole=SLOWER, relative=SLOWER)
    assert "became slower as a whole from A to B" in said(apart)
    assert "relative to the canary is not the machine's speed" in said(apart)
    assert "different canaries" in said(dataclasses.replace(calm, canary=None, relative=None))
    unknown = dataclasses.replace(calm, judged=False)
    assert "the noise is unknown" in said(unknown)
    assert "changed beyond" not in said(unknown)


@pytest.mark.parametrize(("shared", "pool"), [(2, 1.0), (4, 20.0)])
def test_of_few_shared_architectures_each_is_listed_and_nothing_is_claimed_of_the_whole(
    tmp_path: Path, shared: int, pool: float
) -> None:
    a = measure(tmp_path / "a.sqlite", backend(seed=1), n=8, seed=1)
    b = measure(tmp_path / "b.sqlite", backend(pool=pool, seed=2), n=14, seed=1)
    with closing(sqlite3.connect(b)) as db:
        db.execute("DELETE FROM measurements WHERE sample_index BETWEEN ? AND 7", (shared,))
        db.commit()
    ((one, other),) = pair_sides(a, b)
    c = compare(one, other)
    assert c.whole.vague
    first = said(c).split(" changed beyond")[0]
    assert f"nothing can be said of the change as a whole. A (8 measured) and B ({6 + shared}) " \
        f"share {shared} architectures, each listed with its change; by" in first  # fmt: skip
    assert re.search(r"B could be anything from \S+ times faster to \S+ times slower", first)
    assert "%" not in first
    assert "Infinity" not in said(c)
    page = sound(render_changes([c], "Few"))
    assert f"All {shared} shared architectures on fake" in page.text
    assert "nothing can be said" in [row[3].text for row in whole_table(c).rows]
    assert c.absolute.beyond.any() == (pool > 1)


def test_an_interval_of_any_width_is_said(changed: Comparison) -> None:
    anything = Change(-0.5, -1.0, 1e30)
    assert "from a hundred times or more faster to a hundred times or more slower" in said(
        dataclasses.replace(changed, whole=anything, relative=anything)
    )
    assert not Change(-0.05, -0.2, 0.1).vague
    assert not Change(3.0, 1.0, 9.0).vague


def test_verdicts_of_the_whole(changed: Comparison) -> None:
    shown = dataclasses.replace(changed, whole=SLOWER, canary=NOTHING, relative=None)
    assert [row[3].text for row in whole_table(shown).rows] == [
        "slower", "within noise", "different canaries",
    ]  # fmt: skip
