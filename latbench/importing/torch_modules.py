"""Torch modules, by way of the ONNX file that torch exports them to."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

from latbench.errors import UsageError, in_words, quoted
from latbench.importing.reading import Imported, read_onnx_bytes


def read_torch(module: Any, examples: tuple[Any, ...], name: str) -> Imported:
    """Exports a torch module and reads what results.

    Args:
        module: The module; it is exported in eval mode.
        examples: Tensors that it is called with. Integers and truth values among them are kept as
            its inputs, since what they may be is not known.
        name: What it is called in messages.

    Returns:
        Its network, weights, source and notes.

    Raises:
        UsageError: For no module, for no examples, and for what torch cannot export.
        ParseError: For an operator that cannot be read.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"a model is made of a torch.nn.Module, got {quoted(repr(module)[:80])}")
    if not examples or not all(isinstance(x, torch.Tensor) for x in examples):
        raise UsageError(
            f"{name} is exported by calling it; give the tensors that it takes, such as "
            "torch.randn(1, 3, 224, 224)"
        )
    was_training = module.training
    module.eval()
    names = [f"input_{i}" if i else "input" for i in range(len(examples))]
    try:
        data = _exported(module, examples, names)
    except ImportError as error:
        raise UsageError(
            f"torch exports modules by onnxscript ({error}); pip install onnxscript"
        ) from error
    except Exception as error:
        raise UsageError(
            f"torch cannot export {name} ({in_words(error)}); export it to a file and read that"
        ) from error
    finally:
        module.train(was_training)
    given = {
        name: x.detach().cpu().numpy()
        for name, x in zip(names, examples, strict=True)
        if not x.is_floating_point()
    }
    return read_onnx_bytes(data, name, given=given)


def _exported(module: Any, examples: tuple[Any, ...], names: list[str]) -> bytes:
    import torch

    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        quiet = logging.getLogger("torch.onnx")
        level = quiet.level
        quiet.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                module, examples, input_names=names, dynamo=True, verbose=False
            )
        finally:
            quiet.setLevel(level)
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data
