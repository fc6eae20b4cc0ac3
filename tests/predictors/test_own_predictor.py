"""``docs/own-predictor.md``: its predictor keeps the contract, as the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from doc_pages import DOCS, ROOT, files_of
from stored import fill

from latbench.store import Store


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    for name, text in files_of(DOCS / "own-predictor.md").items():
        (tmp_path / name).write_text(text)
    with Store(fill(tmp_path / "sample.sqlite", n=12)) as store:
        alone = next(s.id for s in store.sets() if s.ok > 1)
        assert len(store.dataset(set_id=alone)) > 10
    script = tmp_path / "try_it.py"
    text = script.read_text()
    assert "store.dataset()" in text
    script.write_text(text.replace("store.dataset()", f"store.dataset(set_id={alone})"))
    ran = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.strip("[]\n").split()) == 3
