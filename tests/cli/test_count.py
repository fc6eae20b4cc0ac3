"""``latbench count``: exact models of what needs no measuring."""

from collections.abc import Callable
from pathlib import Path

from latbench.predictors.model import LatencyModel

Cli = Callable[..., tuple[int, str, str]]
SMALL = "fbnetv2(width=0.25, head=32, most_blocks=2, resolutions=(17 20), resolution=18)"


def test_on_the_command_line(cli: Cli) -> None:
    code, _, err = cli("count", "macs", "--space", SMALL, "--out", "m")
    assert code == 0
    assert "the multiply-accumulates of fbnetv2" in " ".join(err.split())
    assert LatencyModel.load(Path("m")).metric.name == "macs"
    code, _, err = cli("count", "flops", "--space", SMALL, "--out", "n")
    assert (code, Path("n").exists()) == (2, False)
    assert "must be macs or parameters, got 'flops'" in err
    fake = "latbench.testing.fake:CostModelBackend"
    measured = ("--space", SMALL, "--backend", fake, "--store", "s.sqlite", "-n", "4")
    assert cli("measure", *measured)[0] == 0
    code, _, err = cli("fit", "--metric", "macs", "--store", "s.sqlite", "--out", "n")
    assert code == 2
    assert "are counted, not measured; `latbench count macs`" in " ".join(err.split())
    code, _, err = cli(
        "search", "--model", "m", "--method", "dmasking", "--out", "found", "--measure", fake
    )
    assert (code, Path("found").exists()) == (2, False)
    assert "multiply-accumulates are counted, not measured; leave --measure" in " ".join(
        err.split()
    )
