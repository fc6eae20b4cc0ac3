"""The published networks on the command line: listed, and measured by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from latbench.cli.naming_models import named_network
from latbench.cli.networks_command import parse_network
from latbench.errors import UsageError
from latbench.store import Store
from latbench.zoo.published_networks import network_names, published_model

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
SPACE = "nasbench201(channels=4, cells=1, resolution=8)"
MEASURE = ("measure", "--backend", FAKE, "--space", SPACE, "--no-parity", "--store", "s.sqlite")


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 0, err
    return out


def test_all_published_networks_are_listed(cli: Cli) -> None:
    rows = json.loads(done(cli("networks", "--json")))
    assert tuple(row["name"] for row in rows) == network_names()
    for row in rows:
        assert row["parameters"] > 0
        assert row["macs"] > 0
        assert row["source"]
        assert (row["top1"] is None) == (row["top1_source"] is None), row["name"]
        assert row["top1"] is None or 50 < row["top1"] < 90  # percent, and no share
    (found,) = [row for row in rows if row["name"] == "mobilenet_v2"]
    assert (found["resolution"], found["classes"]) == (224, 1000)
    assert (found["parameters"], found["macs"]) == (3_504_872, 300_774_272)


def test_named_ones_are_listed_at_a_resolution_of_ones_own(cli: Cli) -> None:
    as_published, at_128 = json.loads(
        done(cli("networks", "mobilenet_v2", "mobilenet_v2@128", "--json"))
    )
    assert as_published["top1"] is not None
    assert at_128["top1"] is None  # nobody published that
    assert at_128["resolution"] == 128
    assert at_128["macs"] == published_model("mobilenet_v2", 128).network.macs
    (same,) = json.loads(done(cli("networks", "mobilenet_v2@224", "--json")))
    assert same == as_published
    table = done(cli("networks", "mobilenet_v2", "mobilenet_v2@128"))
    assert "3,504,872" in table
    assert f"{as_published['top1']:.2f} %" in table
    assert as_published["top1_source"] in table
    assert "–" in table


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mobilnet_v2", "'mobilnet_v2'; did you mean 'mobilenet_v2"),
        ("mobilnet_v2@128", "'mobilnet_v2'; did you mean 'mobilenet_v2"),
        ("mobilenet_v2@", "'mobilenet_v2@' names no resolution"),
        ("mobilenet_v2@big", "such as 'mobilenet_v2@128'"),
        ("mobilenet_v2@-8", "names no resolution"),
        ("mobilenet_v2@12345678", "names no resolution"),
        ("mobilenet_v2@0", "resolution must be 1 to 1,000,000, got 0"),
        ("", "''"),
    ],
)
def test_what_is_no_network_is_refused(cli: Cli, tmp_path: Path, text: str, sentence: str) -> None:
    for command in (("networks", text), (*MEASURE, "--network", text)):
        code, _, err = cli(*command)
        assert code == 2, command
        assert sentence in " ".join(err.split())
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_networks_are_measured_by_name(cli: Cli) -> None:
    both = ("--network", "mobilenet_v2@32", "--network", "mobilenet_v2@33")
    assert "2 rows measured, 0 failed" in done(cli(*MEASURE, *both, "--retest", "0"))
    with Store("s.sqlite") as store:
        (found,) = store.sets()
        small, larger = (store.value(found.id, str(named_network(text))) for text in both[1::2])
    assert small
    assert larger
    assert small < larger


def test_a_text_is_a_name_and_perhaps_a_resolution() -> None:
    assert parse_network("mobilenet_v2") == ("mobilenet_v2", None)
    assert parse_network("mobilenet_v2@96") == ("mobilenet_v2", 96)
    with pytest.raises(UsageError, match="names no resolution"):
        parse_network("mobilenet_v2@9.6")
    assert named_network("mobilenet_v2@96") == published_model("mobilenet_v2", resolution=96)
