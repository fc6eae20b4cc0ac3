"""The page as a whole: structure, escaping, size, and data with holes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import Page, sound

from latbench.errors import StoreError, UsageError
from latbench.report import (
    BackendResult,
    PredictorResult,
    ReportData,
    SearchEpoch,
    SearchResult,
    render,
    write,
)
from latbench.report.sections.page_tables import conditions_table, searches_table
from latbench.report.theme import DARK, LIGHT
from latbench.timing.metric import LATENCY, MEMORY

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}&"
EMPTY = ReportData("Nothing", "2026-01-01", "darts", {}, ())


def test_a_full_page_is_sound_and_has_its_parts(report: ReportData) -> None:
    page = sound(render(report))
    assert page.all("html") == [{"lang": "en"}]
    for words in (
        "Summary", "Predicted against measured", "Error distribution", "Predictors compared",
        "Learning curves", "Mean over 3 random splits",
        "Latency distribution", "Backend against backend", "Course of the search",
        "Derived networks", "Normal cell", "Reduction cell",
        "Machine and conditions", "threads.intra", "Notes", "Terms", "Canary",
        "Noise floor: 1.3\u00a0%",
    ):  # fmt: skip
        assert " ".join(words.split()) in page.text, words
    names = [a["aria-label"] or "" for a in page.all("svg") if a.get("role") == "img"]
    assert sum(n == "Normal cell" for n in names) == 5
    assert sum("predicted by" in d for d in page.descriptions) == 8
    assert sum("Distribution of prediction errors" in d for d in page.descriptions) == 2


def test_tables_have_captions_and_sort_buttons(report: ReportData) -> None:
    page = sound(render(report))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 5
    assert tags.count("th") == sum(a.get("type") == "button" for a in page.all("button"))
    assert [a["type"] for a in page.all("input")] == ["search", "search"]


def test_nothing_at_all_makes_a_page() -> None:
    page = sound(render(EMPTY))
    assert "Nothing was measured yet." in page.text
    assert page.descriptions == []
    assert len(page.all("script")) == 1  # what draws charts is left out


def test_one_backend_without_predictors(backend_of: Callable[..., BackendResult]) -> None:
    backend = dataclasses.replace(backend_of("b", "cpu", ("x",), 0.01), predictors=())
    page = sound(render(dataclasses.replace(EMPTY, backends=(backend,))))
    assert "Latency distribution of the sample" in page.text
    assert "Predictors compared" not in page.text


def test_a_backend_without_rows(backend_of: Callable[..., BackendResult]) -> None:
    backend = BackendResult("b", "cpu", (), (), None, (PredictorResult("p", (), {}),), failed=4)
    page = sound(render(dataclasses.replace(EMPTY, backends=(backend,))))
    assert "There is no latency to show." in page.text
    assert "4 of 4 architectures failed on b" in page.text


def test_numbers_that_are_not_finite_are_left_out_and_said() -> None:
    nan, inf = math.nan, math.inf
    predictor = PredictorResult("p", (0.01, nan, -0.01, inf), {"mape": (nan, nan, nan)})
    backend = BackendResult(
        "b", "", ("u", "v", "w", "x"), (0.01, 0.02, 0.03, nan), nan, (predictor,)
    )
    search = SearchResult(
        "run", "b", 0.0, "u", (SearchEpoch(1, nan, nan, nan, inf),), nan, nan, nan
    )
    page = sound(render(dataclasses.replace(EMPTY, backends=(backend,), searches=(search,))))
    assert "1 row without a positive value left out." in page.text
    assert "2 predictions not positive, not drawn." in page.text
    assert "Noise floor: not measured" in page.text
    assert "not measured" in page.text
    assert "Course of the search" not in page.text


def evil_report() -> ReportData:
    history = (SearchEpoch(1, 0.5, 0.5, 0.01, 1.0), SearchEpoch(2, 0.6, 0.6, 0.01, 0.9))
    predictor = PredictorResult(EVIL, (0.01, 0.02, 0.03), {"mape": (0.1, 0.1, 0.1)})
    names = (EVIL, EVIL + "2", "</script>")
    backends = tuple(
        BackendResult(EVIL + tail, EVIL, names, (0.01, 0.021, 0.03), 0.01, (predictor,) * 2,
                      conditions={EVIL: {EVIL: [EVIL]}})
        for tail in ("a", "b")
    )  # fmt: skip
    searches = tuple(
        SearchResult(EVIL, EVIL + "a", weight, EVIL, history, 0.01, 0.01) for weight in (0.0, 1.0)
    )
    return ReportData(EVIL, EVIL, EVIL, {EVIL: EVIL}, backends, searches, (EVIL,))


def test_no_text_from_data_becomes_markup() -> None:
    html = render(evil_report())
    page = sound(html)
    assert [a.get("type") for a in page.all("script")] == ["application/json", None, None]
    assert page.all("img") == []
    assert not re.search("<script>alert|<img", html)
    assert "{{ 7*7 }}" in page.text
    assert html.count("<script") == html.count("</script") == 3
    assert EVIL in page.embedded["texts"]


def test_the_policy_names_the_scripts_that_are_on_the_page(report: ReportData) -> None:
    html = render(report)
    bodies = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(bodies) == 2
    hashes = [base64.b64encode(hashlib.sha256(b.encode()).digest()).decode() for b in bodies]
    (policy,) = [a["content"] or "" for a in Page(html).all("meta") if "http-equiv" in a]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "eval" not in policy


def test_colours_are_variables_that_the_page_sets(report: ReportData) -> None:
    page = sound(render(report))
    assert not [c for c in LIGHT.values() if f'"{c}"' in json.dumps(page.embedded)]
    used = set(re.findall(r"var\(--(\w+)\)", page.html)) - {"ratio"}
    assert {"c0", "c1", "ink", "grid"} <= used <= set(LIGHT)
    for name in used:
        assert f"--{name}: {LIGHT[name]};" in page.html
        assert f"--{name}: {DARK[name]};" in page.html


def test_texts_and_tables_stand_on_the_page_once(report: ReportData) -> None:
    embedded = sound(render(report)).embedded
    assert len(embedded["texts"]) == len(set(embedded["texts"]))
    named = [d["name"] for chart in embedded["charts"] for d in chart["data"]]
    assert set(embedded["tables"]) <= set(named)
    scatters = [t for t in embedded["tables"].values() if "predicted" in t and "architecture" in t]
    assert len(scatters) == 8
    for table in scatters:
        names = [embedded["texts"][i] for i in table["architecture"]["texts"]]
        assert len(names) == len(table["measured"]) == len(set(names))
        assert names[0] in report.backends[0].architectures


def big_backend(name: str, n: int, predictors: int) -> BackendResult:
    rng = np.random.default_rng(0)
    truth = np.exp(rng.normal(-4, 0.3, n))
    names = tuple(f"{i:0220d}" for i in range(n))
    fitted = tuple(
        PredictorResult(f"p{k}", tuple((truth * np.exp(rng.normal(0, 0.02, n))).tolist()),
                        {"mape": (0.02, 0.01, 0.03)})
        for k in range(predictors)
    )  # fmt: skip
    return BackendResult(name, "cpu", names, tuple(truth.tolist()), 0.01, fitted)


def test_a_hundred_thousand_rows_stay_small_and_quick() -> None:
    data = dataclasses.replace(EMPTY, backends=(big_backend("a", 100_000, 4),
                                                big_backend("b", 100_000, 4)))  # fmt: skip
    start = time.process_time()
    html = render(data)
    assert time.process_time() - start < 10
    assert len(html.encode()) < 3_000_000
    assert "Each plot shows 2,000 of 100,000 architectures" in sound(html).text
    assert "100,000 architectures" in html.replace("\u00a0", " ")


@pytest.mark.slow  # 9 s
def test_many_backends_predictors_and_searches_stay_small(
    search_of: Callable[..., SearchResult], report: ReportData
) -> None:
    texts = report.backends[0].architectures
    searches = tuple(
        search_of(f"run {i}", float(i % 5), texts[i % len(texts)], 0.01, 0.9) for i in range(700)
    )
    backends = tuple(big_backend(f"b{i}", 300, 14) for i in range(30))
    html = render(dataclasses.replace(EMPTY, backends=backends, searches=searches))
    assert len(html.encode()) < 3_000_000
    text = sound(html).text
    assert "200 more runs are not listed." in text
    assert "The first 60 runs are drawn, 640 more are not." in text
    assert "The first 16 of 120 different networks are drawn." in text
    assert "12\u00a0further predictors only in the table below." in html
    assert "Only the first 7 backends are compared." in text


def test_columns_of_different_lengths_are_refused() -> None:
    short = PredictorResult("mlp", (0.1,), {})
    backend = BackendResult("ort", "cpu", ("a", "b"), (0.1, 0.2), None, (short,))
    with pytest.raises(UsageError, match="'ort' has 2 architectures but 1 values in predicted of"):
        render(dataclasses.replace(EMPTY, backends=(backend,)))


def test_the_same_data_make_the_same_page(report: ReportData) -> None:
    assert render(report) == render(report)


def test_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    write(EMPTY, target)
    assert target.read_text(encoding="utf-8") == render(EMPTY)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_folder_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write the report to .*missing.*folder"):
        write(EMPTY, tmp_path / "missing" / "report.html")


def test_a_folder_in_the_file_s_place_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StoreError, match="cannot write the report"):
        write(EMPTY, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_what_the_networks_take_elsewhere_is_a_column() -> None:
    search = SearchResult("a", "ort", 0.5, "x", (), 1e-3, 2e-3, measured_elsewhere={"trt": 3e-3})
    plain = SearchResult("b", "ort", 0.0, "x", (), 1e-3, 2e-3)
    table = searches_table(ReportData("t", "", "darts", {}, (), (search, plain)), LATENCY)
    assert table.columns[-1] == "On trt (ms)"
    assert [row[-1].text for row in table.rows] == ["3.00", "not measured"]


def with_memory(report: ReportData) -> ReportData:
    """The report of an experiment whose searches paid for peak memory on its first backend."""
    scale = 10 * 2**30
    first = report.backends[0]
    memory = dataclasses.replace(
        first,
        metric=MEMORY,
        measured=tuple(scale * v for v in first.measured),
        predictors=tuple(
            dataclasses.replace(
                p,
                predicted=tuple(scale * v for v in p.predicted),
                metrics=p.metrics | {"rmse": (7.5 * 2**20, 7 * 2**20, 8 * 2**20)},
            )
            for p in first.predictors
        ),
    )
    searches = tuple(
        dataclasses.replace(
            s,
            metric=MEMORY,
            predicted=scale * s.predicted,
            measured=None if s.measured is None else scale * s.measured,
            history=tuple(dataclasses.replace(e, expected=scale * e.expected) for e in s.history),
        )
        for s in report.searches
    )
    return dataclasses.replace(report, backends=(*report.backends, memory), searches=searches)


def test_another_metric_has_its_own_section_and_units(report: ReportData) -> None:
    html = render(with_memory(report))
    page = sound(html)
    for words in (
        "Peak host memory on onnxruntime", "Measured peak host memory (MiB)", "RMSE (MiB)",
        "7.50", "Expected peak host memory (MiB)", "Predicted (MiB)",
        "These searches pay for peak host memory, not for latency.",
        "Peak host memory of the derived network (MiB)", "Latency on onnxruntime",
    ):  # fmt: skip
        assert words in page.text or f'"{words}"' in html, words
    assert "Expected latency (ms)" not in html
    of_memory = [d for d in page.descriptions if "memory predicted by" in d]
    assert len(of_memory) == len(report.backends[0].predictors)


def test_a_further_metric_repeats_no_conditions_and_is_no_other_backend(
    report: ReportData,
) -> None:
    both = with_memory(report)
    assert conditions_table(both) == conditions_table(report)
    latency_only = dataclasses.replace(both, backends=report.backends)
    ours, theirs = (sound(render(data)) for data in (both, latency_only))
    links = [a["href"] for a in ours.all("a") if a["href"] == "#agreement"]
    assert links == ["#agreement"]
    agreement = "Latency on torch-eager against latency on onnxruntime"
    for page in (ours, theirs):
        assert sum(agreement in d for d in page.descriptions) == 1
        assert not any("against peak" in d for d in page.descriptions)


def test_searches_for_two_metrics_are_kept_apart(report: ReportData) -> None:
    memory = with_memory(report)
    data = dataclasses.replace(memory, searches=(*report.searches, *memory.searches))
    page = sound(render(data))
    for title in ("Expected latency (ms)", "Expected peak host memory (MiB)"):
        assert sum(d.startswith(title) for d in page.descriptions) == 1
    for metric in (LATENCY, MEMORY):
        assert len(searches_table(data, metric).rows) == len(report.searches)
