from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from latbench.errors import ParseError, UsageError
from latbench.search import checkpoint


def parts(seed: int) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).to(
        memory_format=torch.channels_last  # type: ignore[call-overload]
    )
    optimizers = {
        "sgd": torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
        "adam": torch.optim.Adam(model.parameters(), 0.1),
    }
    return {"model": model}, optimizers


def step(modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]) -> None:
    loss = modules["model"](torch.ones(2, 1, 5, 5).cumsum(3)).sin().sum()
    for optimizer in optimizers.values():
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers.values():
        optimizer.step()


def test_restored_parts_go_on_as_the_originals(tmp_path: Path) -> None:
    first, second = parts(0), parts(1)
    step(*first)
    path = tmp_path / "c.safetensors"
    checkpoint.write(path, checkpoint.collect(*first), {"x": [1, None]})
    tensors, values = checkpoint.read(path)
    assert values["x"] == [1, None]
    checkpoint.restore(tensors, *second)
    for _ in range(2):
        step(*first)
        step(*second)
    states = [p[0]["model"].state_dict() for p in (first, second)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.write(path, {"t": torch.ones(1)}, {"n": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        checkpoint.write(path, {"t": torch.zeros(1)}, {"n": float("nan")})
    assert checkpoint.read(path)[1]["n"] == 1


def test_two_at_once_leave_one_of_the_two_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"

    def write(n: int) -> None:
        for _ in range(20):
            checkpoint.write(path, {"t": torch.full((50_000,), float(n))}, {"n": n})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (1, 2)))
    tensors, values = checkpoint.read(path)
    assert set(tensors["t"].tolist()) == {values["n"]}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 5, 60, -3])
def test_a_damaged_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.write(path, {"t": torch.ones(50)}, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ParseError, match=r"c.safetensors is not a checkpoint.*delete it"):
        checkpoint.read(path)


def test_other_safetensors_files_and_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    safetensors.torch.save_file({"t": torch.ones(1)}, path)
    with pytest.raises(ParseError, match="not a checkpoint"):
        checkpoint.read(path)
    checkpoint.write(path, {"t": torch.ones(1)}, {"format": 99})
    with pytest.raises(ParseError, match="format 99"):
        checkpoint.read(path)


def test_the_difference_between_two_searches_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.check_identity(path, {"config": {"a": 1}}, {"config": {"a": 1}})
    with pytest.raises(UsageError, match=r"its config.a is 1, this one's is 2; use another"):
        checkpoint.check_identity(path, {"config": {"a": 1}}, {"config": {"a": 2}})
