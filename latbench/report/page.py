"""The report as one HTML page that needs nothing else: no network, no other file.

Everything that comes from data passes through escaping, by jinja2 in the template and by
``svg.element`` in drawings. As a second lock, the page's content security policy lets only the
page's own script run, named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from latbench._version import __version__
from latbench.errors import StoreError
from latbench.files import replacing
from latbench.report.data import ReportData
from latbench.report.headline import headline
from latbench.report.parts import Section
from latbench.report.sample import Names, check
from latbench.report.sections import sections
from latbench.report.tables import Table, conditions_table, machine_table


@dataclass(frozen=True)
class Contents:
    """What a page shows, in words, parts and tables. ``names`` are the architectures that its
    drawings refer to by number; ``headline`` is never empty."""

    title: str
    space: str
    created: str
    headline: Sequence[str]
    sections: Sequence[Section]
    names: Names
    machine: Table | None = None
    conditions: Table | None = None
    notes: Sequence[str] = ()


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
    return environment


def breakable(architecture: str) -> Markup:
    """An architecture's text that a browser may break between nodes; copying gives the text."""
    text = escape(architecture)
    return text.replace("+|", Markup("+<wbr>|")).replace(";reduce", Markup(";<wbr>reduce"))


def _asset(name: str) -> Markup:
    """A file of this package, to be set into the page as it is."""
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _script() -> tuple[Markup, str]:
    """The page's script and its hash for the content security policy."""
    text = _asset("script.html")
    body = Markup(text.partition("<script>")[2].rpartition("</script>")[0])
    digest = hashlib.sha256(body.encode()).digest()
    return body, base64.b64encode(digest).decode()


def render(data: ReportData) -> str:
    """The page as text: HTML with inline styles, drawings and script.

    Large inputs stay below about 5 MB: points are then a sample, and the page says so.
    Raises UsageError when a backend's columns are not equally long.
    """
    check(data)
    names = Names()
    return compose(
        Contents(
            title=data.title,
            space=data.space,
            created=data.created,
            headline=headline(data),
            sections=sections(data, names),
            names=names,
            machine=machine_table(data) if data.machine else None,
            conditions=conditions_table(data) if data.backends else None,
            notes=data.notes,
        )
    )


def compose(contents: Contents) -> str:
    """A page as text: HTML with inline styles, drawings and script."""
    script, digest = _script()
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=contents,
            style=_asset("page.css"),
            script=script,
            script_hash=digest,
            version=__version__,
        )
    )


def framed(data: ReportData) -> str:
    """The page inside another one: in a frame, so that neither's styles reach the other's.

    The frame's page may run its own script and reach nothing around it.
    """
    return (
        f'<iframe srcdoc="{escape(render(data))}" title="{escape(data.title)}" '
        'sandbox="allow-scripts" style="width:100%;height:40rem;border:0"></iframe>'
    )


def write(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Writes the page to ``path``, whole or not at all; an older file is replaced.

    Raises StoreError when the folder does not exist or cannot be written, UsageError as
    ``render`` does.
    """
    save(render(data), path)


def save(page: str, path: str | os.PathLike[str]) -> None:
    """Writes a finished page to ``path``, whole or not at all; an older file is replaced.

    Raises StoreError when the folder does not exist or cannot be written.
    """
    target = Path(path)
    try:
        with replacing(target) as partial:
            partial.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise _cannot_write(target, error) from error


def _cannot_write(target: Path, error: OSError) -> StoreError:
    reason = error.strerror or type(error).__name__
    return StoreError(
        f"cannot write the report to {str(target)!r}: {reason}; expected a file name in a folder "
        "that exists and can be written"
    )
