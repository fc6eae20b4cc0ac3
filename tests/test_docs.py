"""The pages hold together: links, the site's list of pages, and the commands that they show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_pages import DOCS, PAGES, ROOT, anchors, blocks, links
from typer.main import get_command

from latbench.cli.app import app
from latbench.predictors import PREDICTORS


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{_name(page)} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{_name(page)}: no heading {anchor} in {target}"


def test_what_the_link_check_sees(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# At most 5 ms, `x`\n[a](b.md#c) `[no](d.md)` [`e`](#f)\n```\n[no](g.md)\n```\n"
    )
    assert list(links(page)) == [(tmp_path / "b.md", "c"), (page, "f")]
    assert anchors(page) == {"at-most-5-ms-x"}


def test_every_page_is_in_the_nav() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r"([\w/-]+\.md)$", nav, re.MULTILINE)
    assert len(listed) == len(set(listed))
    elsewhere = {"benchmarks.md", "contributing.md", "changelog.md"}  # .ci/mkdocs_hook.py
    assert set(listed) - elsewhere == {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}


def test_every_module_of_the_api_pages_exists() -> None:
    named = [
        module
        for page in (DOCS / "api").glob("*.md")
        for module in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]
    assert len(named) > 30
    assert len(named) == len(set(named))
    for module in named:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_list_begins_after_an_empty_line(page: Path) -> None:
    # GitHub needs none; the site would make one paragraph of it.
    before, fenced = "", False
    for line in page.read_text().splitlines():
        fenced ^= line.startswith("```")
        new = re.match(r"- |\d+\. ", line) and not fenced
        assert not new or not before or re.match(r"- |\d+\. |  |#", before), line
        before = line


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_has_its_paragraph(name: str) -> None:
    models = (DOCS / "predictors.md").read_text().partition("\n## Models\n")[2]
    heads = re.findall(r"^\*\*(`.+?)\.\*\*", models, re.MULTILINE)
    assert f"`{name}`" in ", ".join(heads).split(", ")


def _shown(page: Path) -> list[list[str]]:
    """Every call of latbench in a page's blocks, read as far as a shell is not needed."""
    found = []
    for block in [*blocks(page, "sh"), *blocks(page, "")]:
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip().startswith("latbench "):
                words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
                found.append([w for w in words if w != "..."])
    return found


def _parsed(words: list[str]) -> str:
    """The command's name; raises click's error where an option or a value is not one of it."""
    group: Any = get_command(app)
    command = group.commands[words[0]]
    command.make_context(words[0], list(words[1:]), parent=typer.Context(group))
    return words[0]


@pytest.mark.parametrize("page", [p for p in PAGES if _shown(p)], ids=_name)
def test_commands_are_those_of_the_command_line(page: Path) -> None:
    for words in _shown(page):
        assert _parsed(words) == words[0]


@pytest.mark.parametrize("words", [["measure", "--no-such-option"], ["predict", "DARTS_V2"]])
def test_the_check_refuses_what_the_command_line_refuses(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such option|Missing parameter"):
        _parsed(words)
