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
    code, _, err = cli("fit", "--metric", "macs", "--store", "none.sqlite", "--out", "n")
    assert code == 2
