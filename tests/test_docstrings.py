"""Docstrings can be read before the code: whole sentences, and sections for many parameters.

A command's docstring is what ``latbench COMMAND --help`` shows, beside the options' own texts: it
tells people what to do with it ("Fit a predictor ..."), and has no sections.

Reads syntax trees only, so it imports nothing of the library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("latbench", "backends", "predictors", "search")
# The modules of the command line, each of which lists its commands in a tuple of this name.
COMMAND_LINE = "latbench/cli/"
COMMANDS = "COMMANDS"
# From this number of parameters on, a paragraph hides them.
MANY = 4
SECTIONS = ("Args", "Returns", "Yields", "Raises")
TELEGRAM = re.compile(
    r"(Of|By|Whether|What|None|Where|How|Which|Why|When|See|Those|From|For|As|Is|Can|The same)\b"
)
# A function does something ("Returns ..."), a class is something.
THIRD_PERSON = re.compile(r"[A-Z][a-z-]*s\b")
ARTICLE = re.compile(r"(A|An|The|One) ")


class Documented(NamedTuple):
    """A module, class or function with its dotted name inside the module."""

    name: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef

    @property
    def text(self) -> str:
        return ast.get_docstring(self.node) or ""


def sources() -> dict[str, Path]:
    """The modules that are checked, by their path; what a link repeats is counted where it lies."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            linked = path.resolve() != path
            if not linked:
                found[name] = path
    return found


SOURCES = sources()


def public(tree: ast.Module) -> Iterator[Documented]:
    """The module, its public classes and functions, and the public methods of those classes."""
    yield Documented("module", tree)

    def below(node: ast.Module | ast.ClassDef, before: str) -> Iterator[Documented]:
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
                yield Documented(before + child.name, child)
                if isinstance(child, ast.ClassDef):
                    yield from below(child, f"{before}{child.name}.")

    yield from below(tree, "")


def commands(module: str, tree: ast.Module) -> set[str]:
    """The names of a module's commands: the functions in its ``COMMANDS``, if it has any."""
    if not module.startswith(COMMAND_LINE):
        return set()
    return {
        entry.id
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [COMMANDS]
        if isinstance(node.value, ast.Tuple)
        for entry in node.value.elts
        if isinstance(entry, ast.Name)
    }


def is_overload(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(d).rpartition(".")[2] == "overload" for d in function.decorator_list)


def parameters(function: ast.FunctionDef) -> list[str]:
    """The names of a function's parameters, without ``self`` and ``cls``."""
    a = function.args
    given = [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg]
    return [p.arg for p in given if p is not None and p.arg not in ("self", "cls")]


def raises(function: ast.FunctionDef) -> bool:
    """Whether the body has a ``raise`` with an exception, those of nested functions aside."""
    rest: list[ast.AST] = list(function.body)
    while rest:
        node = rest.pop()
        if isinstance(node, ast.Raise) and node.exc is not None:
            return True
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            rest.extend(ast.iter_child_nodes(node))
    return False


def sections(text: str) -> dict[str, str]:
    """The sections of a docstring in Google style by their names; the text before them is ''."""
    found, name = {"": ""}, ""
    for line in text.splitlines():
        if line.removesuffix(":") in SECTIONS and line.endswith(":"):
            name = line.removesuffix(":")
            found[name] = ""
        else:
            found[name] += line + "\n"
    return found


def missing(function: ast.FunctionDef, text: str) -> list[str]:
    """What the docstring of a function with many parameters lacks."""
    found = sections(text)
    returned = "None" if function.returns is None else ast.unparse(function.returns)
    says_so = re.search(r"\braises?\b", found[""], re.IGNORECASE)
    lacks = []
    if returned not in ("None", "NoReturn") and not {"Returns", "Yields"} & set(found):
        lacks.append("Returns")
    if (raises(function) or says_so) and "Raises" not in found:
        lacks.append("Raises")
    lacks += [
        f"Args: {name}"
        for name in parameters(function)
        if not re.search(rf"^ +\*{{0,2}}{re.escape(name)}: \S", found.get("Args", ""), re.MULTILINE)
    ]
    return lacks


def bad_start(documented: Documented, is_command: bool = False) -> str:
    """What is wrong with the first sentence of a docstring, else ''."""
    node, first = documented.node, sections(documented.text)[""].split("\n\n")[0].strip()
    if not first:
        return ""
    if TELEGRAM.match(first):
        return f"begins as a telegram: {first.splitlines()[0]}"
    if is_command and THIRD_PERSON.match(first):
        return f"does not say what to do, as 'Fit ...': {first.splitlines()[0]}"
    if isinstance(node, ast.FunctionDef) and not is_command and not THIRD_PERSON.match(first):
        return f"does not say what it does, as 'Returns ...': {first.splitlines()[0]}"
    if isinstance(node, ast.ClassDef) and not ARTICLE.match(first):
        return f"does not say what it is, as 'A ... that ...': {first.splitlines()[0]}"
    return "" if first.endswith((".", ":")) else f"no full stop: {first}"


def test_the_survey_sees_the_library() -> None:
    assert {"latbench/api.py", "backends/base.py", "search/loop.py"} <= set(SOURCES)
    assert {"latbench/notebook.py", "latbench/cli/app.py", "latbench/report/sample.py"} <= set(
        SOURCES
    )
    assert not [name for name in SOURCES if name.startswith("latbench/search")]
    tree = ast.parse(SOURCES["backends/base.py"].read_text())
    assert {"module", "Backend", "Backend.load"} <= {d.name for d in public(tree)}


def test_what_a_command_is() -> None:
    tree = ast.parse("def f(): ...\ndef g(): ...\nCOMMANDS = (f,)")
    assert commands("latbench/cli/stores.py", tree) == {"f"}
    assert commands("latbench/api.py", tree) == set()
    module = "latbench/cli/predicting.py"
    assert {"fit", "predict"} <= commands(module, ast.parse(SOURCES[module].read_text()))


def first_of(source: str) -> str:
    """What is wrong with the docstring of a source's one class or function."""
    tree = ast.parse(source)
    documented = list(public(tree))[1]
    return bad_start(documented, documented.name in commands(COMMAND_LINE, tree))


def test_what_a_first_sentence_is() -> None:
    assert first_of("def f():\n    'Returns the size of it, in bytes.'") == ""
    assert first_of("class C:\n    'A size in bytes.'") == ""
    assert "telegram" in first_of("def f():\n    'Of the whole.'")
    assert "what it does" in first_of("def f():\n    'The size of it.'")
    assert "what it is" in first_of("class C:\n    'Sizes things.'")
    assert "full stop" in first_of("def f():\n    'Returns the size'")
    assert first_of("def f():\n    'Fit a predictor.'\nCOMMANDS = (f,)") == ""
    assert "what to do" in first_of("def f():\n    'Fits a predictor.'\nCOMMANDS = (f,)")
    assert "full stop" in first_of("def f():\n    'Fit a predictor'\nCOMMANDS = (f,)")


def test_what_many_parameters_lack() -> None:
    text = "Sums; raises nothing.\n\nArgs:\n    a: One.\n    b: Two.\n    c: Three.\n"
    (function,) = ast.parse("def f(a: int, b: int, *, c: int, d: int) -> int: ...").body
    assert isinstance(function, ast.FunctionDef)
    assert missing(function, text) == ["Returns", "Raises", "Args: d"]
    assert (
        missing(function, text + "    d: Four.\n\nReturns:\n    A sum.\n\nRaises:\n    E: x.") == []
    )


@pytest.mark.parametrize("module", SOURCES)
def test_many_parameters_have_sections(module: str) -> None:
    tree = ast.parse(SOURCES[module].read_text())
    found = {}
    for name, node in public(tree):
        if (
            isinstance(node, ast.FunctionDef)
            and not is_overload(node)
            and len(parameters(node)) >= MANY
            and name not in commands(module, tree)
        ):
            lacks = missing(node, ast.get_docstring(node) or "")
            if lacks:
                found[name] = lacks
    assert not found


@pytest.mark.parametrize("module", SOURCES)
def test_commands_have_no_sections(module: str) -> None:
    tree = ast.parse(SOURCES[module].read_text())
    listed = [d for d in public(tree) if d.name in commands(module, tree)]
    assert {d.name for d in listed} == commands(module, tree)
    found = {d.name: [*sections(d.text)][1:] for d in listed}
    assert not {name: headed for name, headed in found.items() if headed}
    assert not [d.name for d in listed if not d.text]


@pytest.mark.parametrize("module", SOURCES)
def test_docstrings_are_whole_sentences(module: str) -> None:
    tree = ast.parse(SOURCES[module].read_text())
    found = {d.name: bad_start(d, d.name in commands(module, tree)) for d in public(tree)}
    assert not {name: wrong for name, wrong in found.items() if wrong}
