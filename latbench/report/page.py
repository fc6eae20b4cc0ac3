"""The report as one HTML page that needs nothing else: no network, no other file.

Everything that comes from data passes through escaping: by jinja2 in the template, in JSON, and by
``svg.element`` in drawings. As a second lock, the page's content security policy lets only the
page's own scripts run, named by their hashes, and none of them make code from text.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from latbench._version import __version__
from latbench.errors import StoreError
from latbench.files import replacing
from latbench.report.charts.embedded import EmbeddedCharts, library
from latbench.report.contents import Contents, Section
from latbench.report.sample import check
from latbench.report.sections.backend_sections import sections
from latbench.report.sections.headline import headline
from latbench.report.sections.page_tables import conditions_table, machine_table
from latbench.report.theme import FONT, style_sheet
from latbench.results import ReportData


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("latbench.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.policies["json.dumps_kwargs"] = {
        "separators": (",", ":"), "ensure_ascii": False, "allow_nan": False,
    }  # fmt: skip
    return environment


def breakable(architecture: str) -> Markup:
    """Lets a browser break an architecture's text between nodes; copying still gives the text."""
    text = escape(architecture)
    return text.replace("+|", Markup("+<wbr>|")).replace(";reduce", Markup(";<wbr>reduce"))


def _asset(name: str) -> str:
    """A file of this package, to be set into the page as it is."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _digest(script: str) -> str:
    """A script's hash for the content security policy."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def render(data: ReportData, more: Sequence[Section] = ()) -> str:
    """Writes the page as text: HTML with inline styles, drawings, charts and scripts.

    ``more`` are sections of the caller's, which stand behind the report's. Large inputs stay below
    about 3 MB: points are then a sample, and the page says so.
    Raises UsageError when a backend's columns are not equally long.
    """
    check(data)
    return compose(
        Contents(
            title=data.title,
            space=data.space,
            created=data.created,
            headline=headline(data),
            sections=[*sections(data), *more],
            machine=machine_table(data) if data.machine else None,
            conditions=conditions_table(data) if data.backends else None,
            notes=data.notes,
        )
    )


def compose(contents: Contents) -> str:
    """Writes a page as text: HTML with inline styles, drawings, charts and scripts."""
    scripts = [*([library()] if contents.has_charts else []), _asset("page.js")]
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=contents,
            charts=EmbeddedCharts(),
            style=Markup(style_sheet() + _asset("page.css").replace("FONT", FONT)),
            scripts=[Markup(script) for script in scripts],
            hashes=[_digest(script) for script in scripts],
            version=__version__,
        )
    )


def framed(data: ReportData) -> str:
    """Puts the page into a frame of another one, so that neither's styles reach the other's.

    The frame's page may run its own scripts and reach nothing around it.
    """
    return (
        f'<iframe srcdoc="{escape(render(data))}" title="{escape(data.title)}" '
        'sandbox="allow-scripts" style="width:100%;height:40rem;border:0"></iframe>'
    )


def write(data: ReportData, path: str | os.PathLike[str], more: Sequence[Section] = ()) -> None:
    """Writes the page to ``path``, whole or not at all; an older file is replaced.

    ``more`` are sections of the caller's, see ``render``. Raises StoreError when the folder does
    not exist or cannot be written, UsageError as ``render`` does.
    """
    save(render(data, more), path)


def save(content: str | bytes, path: str | os.PathLike[str]) -> None:
    """Writes a page or a picture to ``path``, whole or not at all; an older file is replaced.

    Raises StoreError when the folder does not exist or cannot be written.
    """
    target = Path(path)
    try:
        with replacing(target) as partial:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(
            f"cannot write the report to {str(target)!r}: {reason}; expected a file name in a "
            "folder that exists and can be written"
        ) from error
