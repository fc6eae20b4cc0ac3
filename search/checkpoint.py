"""Checkpoints: one safetensors file with every tensor, and everything else as JSON in its header.

One file, so that tensors and the rest can never be of different epochs. It is written beside the
old one and then renamed over it, so that a process killed at any instant leaves a whole one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from latbench.errors import ParseError, UsageError
from latbench.files import replacing
from latbench.locks import sole_user

# 2: the history's expected cost is in the unit of the search's metric.
# 3: the architecture parameters of every epoch.
# 4: the method is one text with its own settings.
FORMAT = 4
_KEY = "latbench-search"


def collect(
    modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> dict[str, Tensor]:
    """Collects all tensors of modules and optimisers by ``owner/...`` names, copied to the CPU."""
    tensors = {
        f"{owner}/{name}": tensor
        for owner, module in modules.items()
        for name, tensor in module.state_dict().items()
    } | {
        f"{owner}/{index}/{name}": tensor
        for owner, optimizer in optimizers.items()
        for index, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)
    }
    return {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}


def restore(
    tensors: Mapping[str, Tensor],
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
) -> None:
    """Puts the tensors that ``collect`` gave back into modules and optimisers of the same shape."""

    def of(owner: str) -> dict[str, Tensor]:
        prefix = f"{owner}/"
        return {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}

    for owner, module in modules.items():
        module.load_state_dict(of(owner))
    for owner, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in of(owner).items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def fingerprint(*modules: Mapping[str, Tensor], about: str = "") -> str:
    """Returns a hash of the text and of modules' tensors by name."""
    digest = hashlib.sha256(about.encode())
    for tensors in modules:
        for name, tensor in sorted(tensors.items()):
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(name.encode() + values.numpy().tobytes())
    return digest.hexdigest()[:16]


def write(path: Path, tensors: dict[str, Tensor], values: Mapping[str, Any]) -> None:
    """Writes a checkpoint in place of the one at ``path``, atomically and durably."""
    header = {_KEY: json.dumps({"format": FORMAT, **values}, allow_nan=False)}
    with replacing(path) as partial:
        partial.write_bytes(safetensors.torch.save(tensors, header))


def alone(path: Path) -> AbstractContextManager[None]:
    """Holds the checkpoint at ``path`` for one search or training: two would each go on from the
    other's epochs. Raises UsageError when another one has it."""
    return sole_user(
        path,
        UsageError(
            f"another search or training is at work in {path.parent}; wait for it, or name another "
            "directory"
        ),
    )


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads the tensors and values of a checkpoint.

    Raises ParseError when the file is broken or of another format.
    """
    try:
        with safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ParseError(
            f"{path} is not a checkpoint, or it is damaged; delete it to start over"
        ) from error
    if values.get("format") != FORMAT:
        raise ParseError(
            f"{path} has checkpoint format {values.get('format')}, this latbench reads {FORMAT}; "
            "use the latbench version that wrote it, or delete it to start over"
        )
    return tensors, values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, Mapping)
        out |= _flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return out


def check_identity(path: Path, stored: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raises UsageError naming the first difference between two searches' identities."""
    old, new = _flat(stored), _flat(json.loads(json.dumps(current)))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise UsageError(
                f"{path} belongs to another search: its {key} is {old.get(key)!r}, this one's is "
                f"{new.get(key)!r}; use another directory, or delete the file to start over"
            )
