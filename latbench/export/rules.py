"""The rules that write a layer kind for a runtime, by the kind's class.

latbench's own kinds have theirs in the exporters. A kind that is defined elsewhere registers its
rules beside itself, so that importing its module, as a worker does for a space, is all it takes::

    @onnx_rule(Gelu)
    def _(op, graph, key, inputs, output, shape): ...

    @torch_rule(Gelu)
    def _(op, shapes): ...

    @torch_code_rule(Gelu)
    def _(op, shapes): ...

A rule's arguments are those of the rules in ``latbench.export.onnx``, ``torch``, ``torch_code``,
``tflite`` and ``ncnn_model``; docs/own-layer.md explains the first three. Nothing is imported here,
so that a rule costs nothing until its exporter is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from latbench.errors import BackendError, UsageError, quoted
from latbench.networks.general.arrays import Unread
from latbench.networks.ops import Op

R = TypeVar("R", bound=Callable[..., Any])


@dataclass(frozen=True)
class RuleBook:
    """The rules of one exporter that are registered from outside; a call makes the decorator.

    ``target`` is the exporter in sentences, ``decorator`` what the object is called.
    """

    target: str
    decorator: str
    rules: dict[type[Op], Any] = field(default_factory=dict, repr=False)

    def __call__(self, kind: type[Op]) -> Callable[[R], R]:
        """Returns a decorator that registers a function as the rule of a layer kind.

        Raises UsageError for a kind that has a rule already, or that is none.
        """
        if not (isinstance(kind, type) and issubclass(kind, Op)):
            raise UsageError(
                f"@{self.decorator} takes a layer kind, a subclass of Op; got {kind!r}"
            )
        if kind.__module__ == Op.__module__:
            raise UsageError(
                f"{kind.__name__} is a layer kind of latbench, whose rule for {self.target} "
                "stands; give yours a class of its own"
            )

        def register(rule: R) -> R:
            other = self.rules.setdefault(kind, rule)
            if other is not rule:
                raise UsageError(
                    f"{kind.__name__} has two rules for {self.target}, one of {other.__module__} "
                    f"and one of {rule.__module__}; remove one of them"
                )
            return rule

        return register


onnx_rule = RuleBook("the ONNX export", "onnx_rule")
torch_rule = RuleBook("the torch export", "torch_rule")
torch_code_rule = RuleBook("the torch code export", "torch_code_rule")
tflite_rule = RuleBook("the LiteRT export", "tflite_rule")
ncnn_rule = RuleBook("the ncnn export", "ncnn_rule")


def rule_for(own: Mapping[type[Op], R], op: Op, book: RuleBook) -> R:
    """Returns the rule that writes ``op``.

    Args:
        own: The rules of latbench's own kinds.
        op: The layer's op; a subclass of a kind that has a rule needs one of its own.
        book: The rules that were registered for the same exporter.

    Returns:
        The rule.

    Raises:
        BackendError: When there is none for the op's kind, and for an operator that was not read.
    """
    if isinstance(op, Unread):
        raise BackendError(
            f"the operator {op.operator} at {quoted(op.where)} is no layer kind of latbench; only "
            "runtimes that read ONNX run it, such as onnxruntime"
        )
    kind = type(op)
    rule: R | None = own.get(kind) or book.rules.get(kind)
    if rule is None:
        known = ", ".join(sorted(k.__name__ for k in {**own, **book.rules}))
        raise BackendError(
            f"there is no layer kind {kind.__name__} in {book.target}; register a rule for it with "
            f"@{book.decorator}({kind.__name__}), see docs/own-layer.md, or use one of {known}"
        )
    return rule


def refusal(runtime: str, index: int, op: Op, lacks: str) -> BackendError:
    """Returns the error for a layer that a runtime has no operator for.

    Args:
        runtime: The runtime, as a sentence names it.
        index: The layer's index.
        op: The layer's op.
        lacks: What the runtime does not have, as in ``"no pooling whose window has gaps"``.

    Returns:
        The error, in one sentence.
    """
    return BackendError(
        f"{runtime} has {lacks}, which layer {index} ({type(op).__name__}) needs; take a "
        "runtime that has it (onnxruntime, openvino, torch-eager)"
    )
