"""``latbench report BASE NEW --fail-on 3%``, as a job of CI runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from experiment_file import FAKE
from gated import network, store_of_models
from timed import backend, measure

from latbench.models import Model
from latbench.store.sides import pair_sides

Cli = Callable[..., tuple[int, str, str]]
NETS = {"small": 1e-3, "large": 5e-3}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return store_of_models(tmp_path / "base.sqlite", NETS, seed=1)


def judged(cli: Cli, *more: str) -> tuple[int, str, str]:
    return cli("report", "base.sqlite", "new.sqlite", "--fail-on", "3%", *more)


def test_equal_code_passes(cli: Cli, base: Path, tmp_path: Path) -> None:
    store_of_models(tmp_path / "new.sqlite", NETS, seed=2)
    code, out, err = judged(cli, "--strict")
    assert (code, err) == (0, "")
    assert "Nothing is slower by more than 3.0 % beyond the noise (2 networks)." in out


def test_one_network_that_is_slower_fails_by_its_name(cli: Cli, base: Path, tmp_path: Path) -> None:
    """An extra layer makes it another model of the same name."""
    store_of_models(tmp_path / "new.sqlite", {**NETS, "large": 5.4e-3}, seed=2, layers=3)
    code, out, _ = judged(cli, "--json")
    found = json.loads(out)
    assert (code, found["outcome"], found["missing"]) == (1, "slower", [])
    assert [(n["network"], n["outcome"]) for n in found["networks"]] == [
        ("large", "slower"), ("small", "passed"),
    ]  # fmt: skip
    assert found["networks"][0]["change"]["change"] == pytest.approx(0.08, abs=0.015)
    assert found["networks"][0]["base_s"] == pytest.approx(5e-3, rel=0.01)
    code, out, _ = judged(cli)
    assert code == 1
    assert "Slower by more than 3.0 % beyond the noise: large on fake by +" in out


def test_a_network_slower_by_less_than_the_limit_passes(
    cli: Cli, base: Path, tmp_path: Path
) -> None:
    store_of_models(tmp_path / "new.sqlite", {**NETS, "large": 5.1e-3}, seed=2)
    assert judged(cli, "--strict")[0] == 0
    assert cli("report", "base.sqlite", "new.sqlite", "--fail-on", "0.5%")[0] == 1


def test_too_noisy_is_said_and_ends_with_3_when_strict(
    cli: Cli, base: Path, tmp_path: Path
) -> None:
    store_of_models(tmp_path / "new.sqlite", NETS, seed=2, noise=0.2)
    code, out, err = judged(cli)
    assert code == 0
    assert "warning: Too noisy to tell 3.0 %: " in err.replace("\u00a0", " ")
    assert "may be slower by up to" in err
    assert "latbench recheck" in out
    assert judged(cli, "--strict")[0] == 3


def test_a_slower_machine_is_no_slower_code(cli: Cli, base: Path, tmp_path: Path) -> None:
    store_of_models(tmp_path / "new.sqlite", NETS, seed=2, speed=1.2)
    code, out, _ = judged(cli, "--strict")
    assert code == 0
    assert "On fake the machine was slower on the new side, by its canary +" in out


def test_another_runtime_is_judged_in_seconds(cli: Cli, base: Path, tmp_path: Path) -> None:
    """It runs the canary, too, which is no yardstick then."""
    store_of_models(tmp_path / "new.sqlite", NETS, seed=2, speed=1.2, version="2")
    code, out, _ = judged(cli)
    assert code == 1
    assert "seconds were judged" in out


def test_other_devices_are_not_judged(cli: Cli, base: Path, tmp_path: Path) -> None:
    store_of_models(tmp_path / "new.sqlite", {"small": 2e-3}, seed=2, device="another CPU")
    code, out, err = judged(cli)
    assert code == 0
    assert "cannot be told" in err
    assert "The base was measured on CPU, the other side on another CPU" in out
    assert judged(cli, "--strict")[0] == 3


def test_noise_that_nobody_measured_is_not_judged(cli: Cli, tmp_path: Path) -> None:
    for name in ("base", "new"):
        measure(tmp_path / f"{name}.sqlite", backend(), n=3, retest=0)
    code, out, _ = judged(cli, "--strict")
    assert code == 3
    assert "the noise is unknown" in out


def test_what_one_side_lacks_is_named(cli: Cli, base: Path, tmp_path: Path) -> None:
    store_of_models(tmp_path / "new.sqlite", {"small": 1e-3, "fresh": 1e-3}, seed=2)
    code, out, _ = judged(cli)
    assert code == 0
    assert "Only in the base, and not judged: large." in out
    assert "Only in the other side, and not judged: fresh." in out
    assert judged(cli, "--strict")[0] == 3
    assert cli("report", "new.sqlite", "new.sqlite", "--fail-on", "3%")[0] == 2


def test_a_backend_that_one_side_lacks_is_named(cli: Cli, base: Path, tmp_path: Path) -> None:
    store_of_models(base, NETS, backend="other")
    store_of_models(tmp_path / "new.sqlite", NETS, seed=2)
    code, out, err = judged(cli)
    assert code == 0
    assert "warning: Nothing that both sides have is slower" in err
    assert "Only in the base, and not judged: set 2 (other on CPU, threads=1, 2 measured)." in out
    assert judged(cli, "--strict")[0] == 3


def test_the_summary_is_markdown_that_is_appended(cli: Cli, base: Path, tmp_path: Path) -> None:
    (tmp_path / "job.md").write_text("before\n", encoding="utf-8")
    changed = {"small": 1e-3, "large": 5.4e-3}
    store_of_models(tmp_path / "new.sqlite", changed, seed=2)
    assert judged(cli, "--summary", "job.md", "--out", "page.html", "--plot", "p.svg")[0] == 1
    text = (tmp_path / "job.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert text.startswith("before\n### ❌ latbench: base.sqlite and new.sqlite\n")
    assert "| `large` | fake | 5." in text
    assert "| slower |" in text
    assert "What changed from base.sqlite" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (tmp_path / "p.svg").exists()


def test_architectures_are_judged_one_by_one_and_all_together(cli: Cli, tmp_path: Path) -> None:
    measure(tmp_path / "base.sqlite", backend(seed=1), n=12, retest=12)
    measure(tmp_path / "new.sqlite", backend(seed=2, pool=1.15), n=12, retest=12)
    code, out, _ = judged(cli, "--json", "--summary", "job.md")
    found = json.loads(out)
    assert code == 1
    assert len(found["networks"]) == 13
    assert [n["base_s"] for n in found["networks"] if n["network"] is None] == [None]
    # Bars of a notation end no cell.
    text = (tmp_path / "job.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `\\|"))
    assert row.replace("\\|", "").count("|") == 8


def test_errors_are_one_sentence(cli: Cli, base: Path, tmp_path: Path) -> None:
    store_of_models(tmp_path / "new.sqlite", {"other": 1e-3})
    for arguments, word in (
        (("new.sqlite", "--fail-on", "3%"), "no network in common"),
        (("new.sqlite",), "--fail-on 3%"),
        (("new.sqlite", "--fail-on", "much"), "'much'"),
        (("nothing.sqlite", "--fail-on", "3%"), "no store at nothing.sqlite"),
        (("--fail-on", "3%"), "of two stores"),
        (("--strict",), "of two stores"),
    ):
        code, out, err = cli("report", "base.sqlite", *arguments)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert word in err


def test_a_job_measures_models_at_several_occasions(cli: Cli, tmp_path: Path) -> None:
    """As docs/gate.md has it, on a simulated backend."""
    onnx.save(Model("net", network(2)).onnx(), "net.onnx")
    noise = [f"--option={name}=0.002" for name in ("noise", "session_noise")]
    measured = cli(
        "measure", "--onnx", "net.onnx", "--backend", FAKE, *noise, "--store", "base.sqlite"
    )
    assert measured[0] == 0, measured[2]
    code, out, err = cli("recheck", "base.sqlite", "--onnx", "net.onnx")
    assert (code, "1 rows measured again, 0 failed" in out) == (0, True), err
    shutil.copy("base.sqlite", "new.sqlite")
    ((side, _),) = pair_sides(Path("base.sqlite"), Path("new.sqlite"), fewest=1)
    assert side.repeats.tolist() == [3]
    assert side.in_common.tolist() == pytest.approx([5 / 9 - 1 / 3])
    assert judged(cli, "--strict")[0] == 0
