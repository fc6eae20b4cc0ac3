"""The pages in a real browser: opened, sorted, filtered, touched, on a phone, in the dark, printed.

They are skipped where there is no Chromium; CONTRIBUTING.md says how to get one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, DRIVER, Browser
from timed import backend, measure

from latbench.comparison.significance import compare
from latbench.report import ReportData, write
from latbench.report.page import save
from latbench.report.sections.change_page import render_changes
from latbench.store.sides import pair_sides

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]
SHARED = 45  # architectures on the page of changes: more than are printed
PAGES = ("report.html", "changes.html")
OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true; });"
# The contrast of two colours as WCAG 2.2 defines it.
CONTRAST = """
const light = (c) => c.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const page = light(getComputedStyle(document.body).backgroundColor);
return arguments[0].map((selector) => {
  const found = document.querySelector(selector);
  const style = getComputedStyle(found);
  const ink = light(found.closest('svg') ? style.fill : style.color);
  return [selector, (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05)];
});
"""
TEXTS = [
    "h1", ".meta", ".lead", "a", "td", "th", "caption", ".chart .role-axis-label text",
    ".chart .role-axis-title text", "summary", "figcaption",
]  # fmt: skip
# As for paper; else a chart is drawn when it comes near.
DRAW_ALL = "window.dispatchEvent(new Event('beforeprint'));"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path, report: ReportData) -> Path:
    """A report and a page of changes."""
    write(report, tmp_path / "report.html")
    a = measure(tmp_path / "a.sqlite", backend(seed=1), n=SHARED)
    b = measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2), n=SHARED, version="2")
    ((one, other),) = pair_sides(a, b)
    save(render_changes([compare(one, other)], "What changed"), tmp_path / "changes.html")
    return tmp_path


def test_pages_open_without_complaint_and_load_nothing(browser: Browser, folder: Path) -> None:
    for name, charts in zip(PAGES, (21, 2), strict=True):
        browser.messages()
        browser.open(folder / name)
        browser.run(DRAW_ALL)
        assert browser.messages() == []
        assert browser.run("return performance.getEntriesByType('resource').length") == 0
        # The script draws these, under the page's own policy.
        assert browser.run("return document.querySelectorAll('.chart > svg').length") == charts
        assert browser.run(
            "return [...document.querySelectorAll('.chart')].every((c) =>"
            " c.getAttribute('aria-label').length > 20 && c.getBoundingClientRect().height > 100)"
        )


def test_text_becomes_no_code_on_the_page(browser: Browser, folder: Path) -> None:
    """The policy holds: the page would not be shown if charts needed more."""
    browser.open(folder / "report.html")
    code = "const s = document.createElement('script'); s.textContent = 'window.broken = {}';"
    assert browser.run(f"{code} document.body.append(s); return window.broken") is None
    assert any("Content Security Policy" in m for m in browser.messages())


def test_charts_far_away_are_drawn_when_they_come_near(browser: Browser, folder: Path) -> None:
    browser.open(folder / "report.html")
    drawn = "return document.querySelectorAll('.chart > svg').length"
    assert 0 < browser.run(drawn) < 21
    browser.run(SCROLL, "#searches .chart")
    assert browser.run("return document.querySelector('#searches .chart > svg') !== null")


def test_a_chart_that_fails_leaves_the_others(browser: Browser, folder: Path) -> None:
    text = (folder / "report.html").read_text()
    start = text.index(">", text.index('id="charts"')) + 1
    charts = json.loads(text[start : text.index("</script>", start)])
    charts["charts"][0]["data"] = [None]
    rest = text[text.index("</script>", start) :]
    (folder / "broken.html").write_text(text[:start] + json.dumps(charts) + rest)
    browser.open(folder / "broken.html")
    browser.run(DRAW_ALL)
    assert browser.run("return document.querySelectorAll('.chart > svg').length") == 20
    told = browser.run("return document.querySelector('[data-chart=\"0\"]').textContent")
    assert "This chart cannot be drawn: " in told


SORT = """
const table = document.getElementById(arguments[0]);
const th = table.tHead.rows[0].cells[arguments[1]];
th.querySelector('button').click();
const values = [...table.tBodies[0].rows].map((r) => r.cells[arguments[1]].dataset.value);
return [th.getAttribute('aria-sort'), values.filter((v) => v !== undefined).map(Number)];
"""


def test_tables_sort(browser: Browser, folder: Path) -> None:
    for name, table, column in (
        ("report.html", "backend-0-table-3", 1), ("changes.html", "changes-0-table-3", 3),
    ):  # fmt: skip
        browser.open(folder / name)
        for direction in ("ascending", "descending"):
            said, values = browser.run(SORT, table, column)
            assert said == direction
            assert len(set(values)) > 1
            assert values == sorted(values, reverse=direction == "descending")


FILTER = """
const input = document.querySelector(`input[data-table='${arguments[0]}']`);
input.value = arguments[1];
input.dispatchEvent(new Event('input'));
const rows = [...document.getElementById(arguments[0]).tBodies[0].rows];
return [rows.filter((r) => !r.hidden).map((r) => r.textContent), rows.length,
  input.parentElement.querySelector('.found').textContent];
"""


def test_tables_filter(browser: Browser, folder: Path) -> None:
    browser.open(folder / "changes.html")
    table = "changes-0-table-3"
    shown, rows, said = browser.run(FILTER, table, "AVG_pool slower")
    assert 0 < len(shown) < rows == SHARED
    assert all("avg_pool" in text and "slower" in text for text in shown)
    assert said == f"{len(shown)} of {SHARED} rows"
    assert browser.run(FILTER, table, "no such thing")[0] == []
    assert len(browser.run(FILTER, table, "")[0]) == SHARED


TIP = "const t = document.getElementById('tip'); return t.hidden ? null : t.innerText;"
SCROLL = """
document.querySelector(arguments[0])?.scrollIntoView({ block: 'center', behavior: 'instant' });
// The page hides its tip when it is scrolled, and draws charts, in the next frames.
const frames = (n, done) => requestAnimationFrame(() => n ? frames(n - 1, done) : done());
return new Promise((done) => frames(3, done));
"""
POINT = """
const marks = [...document.querySelectorAll(arguments[0])].filter((m) => m.__data__?.tooltip);
const box = marks[0].getBoundingClientRect();
marks[0].ownerSVGElement.dispatchEvent(new PointerEvent(arguments[1], { bubbles: true,
  pointerType: arguments[2], clientX: box.left + box.width / 2,
  clientY: box.top + box.height / 2 }));
"""
KEY = """
const chart = document.querySelector(arguments[0]);
chart.focus({ preventScroll: true });
chart.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[1] }));
"""
SCATTER, HISTOGRAM = "[data-chart='0']", "[data-chart='1']"


def test_points_and_bars_say_what_they_are(browser: Browser, folder: Path) -> None:
    browser.open(folder / "changes.html")
    browser.run(DRAW_ALL)
    assert browser.run(TIP) is None
    browser.run(KEY, SCATTER, "ArrowRight")
    first = browser.run(TIP)
    assert "~0|" in first
    assert "Latency on A (ms): " in first
    assert "Change from A to B: " in first
    assert " %" in first.replace("\u00a0", " ")
    browser.run(KEY, SCATTER, "ArrowRight")
    assert browser.run(TIP) not in (None, first)
    browser.run(KEY, SCATTER, "Escape")
    assert browser.run(TIP) is None
    browser.run(SCROLL, HISTOGRAM)
    for event, device in (("pointermove", "mouse"), ("pointerdown", "touch")):
        browser.run(POINT, f"{HISTOGRAM} path", event, device)
        assert "architecture" in browser.run(TIP)
        browser.run(KEY, HISTOGRAM, "Escape")
    browser.run(POINT, f"{SCATTER} .mark-symbol path", "pointermove", "mouse")
    assert "~0|" in browser.run(TIP)


def test_nothing_runs_over_the_edge_of_a_phone(browser: Browser, folder: Path) -> None:
    for name in PAGES:
        browser.open(folder / name, width=360, height=740)
        browser.run(OPEN_ALL + DRAW_ALL)
        assert browser.run("return document.documentElement.scrollWidth") <= 360
        over = browser.run(
            "return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll,"
            " .cell-box, svg, .skip, #tip') && e.getBoundingClientRect().right > 360.5)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert over == []


CUT = """
return [...document.querySelectorAll('.scroll')].filter((s) => s.scrollWidth > s.clientWidth)
  .map((s) => s.getAttribute('aria-label'));
"""


def test_tables_are_not_cut(browser: Browser, folder: Path) -> None:
    for name in PAGES:
        browser.open(folder / name, width=1200)
        browser.run(OPEN_ALL)
        assert browser.run(CUT) == []
    browser.open(folder / "changes.html", width=390, height=740)
    cut = browser.run(CUT)
    assert not any("as a whole" in caption for caption in cut), cut
    right = (
        "return document.querySelector('table thead th:last-child').getBoundingClientRect().right"
    )
    assert browser.run(right) <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(browser: Browser, folder: Path, scheme: str) -> None:
    browser.open(folder / "report.html", prefers_color_scheme=scheme)
    browser.run(DRAW_ALL)
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    for selector, contrast in browser.run(CONTRAST, TEXTS):
        assert contrast >= 4.5, selector


def test_what_can_be_operated_has_a_name(browser: Browser, folder: Path) -> None:
    for name in PAGES:
        browser.open(folder / name)
        browser.run(OPEN_ALL + DRAW_ALL)
        found = browser.cdp("Accessibility.getFullAXTree")["nodes"]
        roles = {
            "button",
            "link",
            "searchbox",
            "region",
            "image",
            "navigation",
            "graphics-document",
        }
        nodes = [n for n in found if not n["ignored"] and n["role"]["value"] in roles]
        assert len(nodes) > 10
        assert [n for n in nodes if not n.get("name", {}).get("value")] == []
        landmarks = {n["role"]["value"] for n in found if not n["ignored"]}
        assert {"main", "banner", "navigation", "heading", "table"} <= landmarks


def test_paper(browser: Browser, folder: Path) -> None:
    for name in PAGES:
        browser.open(folder / name, width=700, type="print", prefers_color_scheme="dark")
        shown = "return getComputedStyle(document.querySelector(arguments[0])).display"
        assert browser.run(shown, "nav") == "none"
        color = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert color == "rgb(255, 255, 255)"
        assert browser.pdf().startswith(b"%PDF")
        boxes = (
            "return [...document.querySelectorAll('.chart')].map((c) => c.innerHTML.slice(0, 4))"
        )
        assert set(browser.run(boxes)) == {"<svg"}
    rows = "return [...document.querySelectorAll('#changes-0-table-3 tbody tr')].filter((r) =>"
    assert browser.run(f"{rows} r.getClientRects().length).length") == 40
    said = browser.run("return document.querySelector('.paper').innerText")
    assert said.startswith("On paper only the first 40 of 45 rows")
