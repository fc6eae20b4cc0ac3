"""Network exporters: ``to_onnx`` (latbench.export.onnx) and ``to_torch`` (latbench.export.torch).

They are imported from their own modules, so that either framework loads only when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from latbench.errors import BackendError
from latbench.networks.ops import Op

_Rule = TypeVar("_Rule")


def rule_for(rules: Mapping[type[Op], _Rule], op: Op, target: str) -> _Rule:
    """Returns the rule that writes ``op``; raises BackendError when ``target`` has none for its
    kind."""
    try:
        return rules[type(op)]
    except KeyError:
        known = ", ".join(sorted(kind.__name__ for kind in rules))
        raise BackendError(
            f"there is no layer kind {type(op).__name__} in {target}; there are {known}"
        ) from None
