"""The options by which commands take single networks, and networks from ONNX files, in one place.

``--onnx`` names a file, or a folder of files; ``--shape`` fixes sizes that a file leaves open, and
``--input`` gives values in place of invented ones. Both name an input; of several files they are
for those that have it, a shape for those that leave its sizes open.
``latbench.cli.naming_models`` makes models of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latbench.cli import completing

OneArchitectureOption = Annotated[
    str | None,
    typer.Option(
        "--architecture", metavar="TEXT",
        help="An architecture of --space; a name such as DARTS_V2 works too.",
    ),
]  # fmt: skip
OneNetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network", metavar="NAME[@RESOLUTION]",
        help="The published network (`latbench networks`), at its resolution or another one.",
        autocompletion=completing.networks,
    ),
]  # fmt: skip
OnnxOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--onnx", metavar="FILE|FOLDER",
        help="Also the network of this ONNX file, or of each .onnx file in this folder; "
        "repeatable.",
    ),
]  # fmt: skip
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape", metavar="INPUT=SIZES",
        help="Sizes of an ONNX file's input that the file leaves open: input=1,3,224,224; "
        "repeatable.",
    ),
]  # fmt: skip
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="INPUT=FILE.npy",
        help="Values for an ONNX file's input, in place of invented ones; repeatable.",
    ),
]  # fmt: skip
