"""What ``latbench space`` says of a space, whatever it has to choose."""

from __future__ import annotations

import json
from collections.abc import Callable

Cli = Callable[..., tuple[int, str, str]]


def described(cli: Cli, space: str) -> dict[str, str]:
    code, out, err = cli("space", space, "--json")
    assert code == 0, err
    return {row["property"]: row["value"] for row in json.loads(out)}


def test_a_chain_is_described_by_kinds(cli: Cli) -> None:
    said = described(cli, "own_spaces:Blocks(depths=(1 2), stages=6)")
    assert said["architectures"] == "17,832,200,896,512 (1.8 × 10^13)"
    assert said["variables"] == "1 resolution, 6 width, 6 depth, 12 operation"
    assert said["resolution options"] == "24, 32"
    assert said["width options"] == "8 to 96, 13 different ones"
    assert said["operation options"] == "k3e3, k5e3, k7e3, k3e6, k5e6, k3e3se, skip"
    assert "published" not in said


def test_published_architectures_are_listed(cli: Cli) -> None:
    assert described(cli, "darts")["published"].startswith("DARTS_V1, DARTS_V2, ")
    assert described(cli, "nasbench201")["architectures"] == "15,625"
