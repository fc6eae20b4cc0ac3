"""The page in a real browser: its script runs, complains about nothing, and loads nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from latbench.report import ReportData, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--virtual-time-budget=3000", "--window-size=390,800", "--dump-dom",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_runs_in_chromium(report: ReportData, tmp_path: Path) -> None:
    write(report, tmp_path / "report.html")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [str(CHROMIUM), *OPTIONS, profile, (tmp_path / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert not re.findall(r".*CONSOLE.*", done.stderr)
    # The script makes scatter plots focusable: it ran to its end, under the page's own policy.
    assert len(re.findall(r'<svg[^>]*tabindex="0"', done.stdout)) == 9
    assert '<div class="film-controls"><button' in done.stdout  # a film can be played
    assert 'aria-valuetext="Epoch 50: validation accuracy' in done.stdout
