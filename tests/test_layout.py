"""The layout that DESIGN.md fixes: which folder is which package, and who may import whom."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTER = ("backends", "predictors", "search")
# What an import of the folder may reach besides the core.
MAY_REACH = {"backends": set[str](), "predictors": set[str](), "search": {"predictors"}}
# The core's own outer shell: what puts everything together.
SHELL = ("__main__", "api", "campaign", "cli", "experiment", "fleet", "report", "testing", "worker")
# Names that `latbench` itself lends from outside of the core; so its __init__ is shell, too.
LENT = ("LatencyModel", "compare", "fit", "measure")
# Plain values that the report draws and others fill in: core, whatever folder it lies in.
VALUES = "latbench.report.data"


def sources() -> dict[str, Path]:
    """Every module of the library by its import name."""
    found = {}
    for path in (p for folder in ("latbench", *OUTER) for p in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "latbench" and parts[1] in OUTER:
            continue  # reached through the link; counted where it lies
        parts = parts if parts[0] == "latbench" else ("latbench", *parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


SOURCES = sources()


def imports(tree: ast.AST) -> Iterator[str]:
    """Names that a module imports, anywhere in it: ``a.b`` and, for ``from a import b``, both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import_time(tree: ast.Module) -> ast.Module:
    """The module without functions and without what only type checkers read."""

    class Prune(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None: ...

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None: ...

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    pruned = Prune().visit(tree)
    assert isinstance(pruned, ast.Module)
    return pruned


def folder_of(module: str) -> str:
    """``search`` for ``latbench.search.x``, ``campaign`` for ``latbench.campaign``."""
    return module.split(".")[1] if "." in module else ""


def test_the_survey_sees_the_library() -> None:
    assert {"latbench", "latbench.ops", "latbench.spaces.darts", "latbench.backends.base"} <= set(
        SOURCES
    )


def listed_packages() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text()
    match = re.search(r"^packages = (\[.*?\])", text, re.DOTALL | re.MULTILINE)
    assert match is not None
    return [str(name) for name in ast.literal_eval(match[1])]


def package_folders() -> set[str]:
    """Import names of the folders that hold modules."""
    folders = [path.parent.relative_to(ROOT).parts for path in SOURCES.values()]
    return {".".join(f if f[0] == "latbench" else ("latbench", *f)) for f in folders}


def test_every_package_is_listed() -> None:
    """One that is not works from the repository and is missing from the wheel."""
    assert package_folders() - set(listed_packages()) == set()


def test_every_listed_package_exists() -> None:
    assert set(listed_packages()) - package_folders() == set()
    assert listed_packages() == sorted(set(listed_packages()))


@pytest.mark.parametrize("name", OUTER)
def test_type_checkers_see_the_outer_folders_inside_the_package(name: str) -> None:
    assert (ROOT / "latbench" / name).resolve() == ROOT / name


def test_nothing_is_imported_by_its_top_level_folder() -> None:
    """It would be a second copy of the module, with other classes of the same name."""
    tests = {str(p.relative_to(ROOT)): p for p in (ROOT / "tests").rglob("*.py")}
    for name, path in (SOURCES | tests).items():
        reached = {i.split(".")[0] for i in imports(ast.parse(path.read_text()))}
        assert not reached & {*OUTER, "tests"}, name


def test_only_the_store_asks_its_file() -> None:
    """What its tables and columns are, nobody else has to know."""
    for module, path in SOURCES.items():
        if folder_of(module) != "store":
            tree = ast.parse(path.read_text())
            assert "sqlite3" not in set(imports(tree)), module
            texts = [str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant)]
            assert not [t for t in texts if re.search(r"\bFROM \w+\.\w+", t)], module


@pytest.mark.parametrize("module", SOURCES)
def test_imports_follow_the_layers(module: str) -> None:
    here = folder_of(module)
    reached = {
        folder_of(name)
        for name in imports(ast.parse(SOURCES[module].read_text()))
        if name.split(".")[0] == "latbench" and not name.startswith(VALUES)
    }
    if here in OUTER:
        allowed = MAY_REACH[here] | {here}
        assert not (reached & set(OUTER)) - allowed, "an outer folder reaches another one"
        assert not reached & set(SHELL), "an outer folder reaches what puts it together"
    elif here not in SHELL and module != "latbench":
        assert not reached & {*OUTER, *SHELL, *LENT}, "the core reaches outwards"


def test_imports_form_no_circle() -> None:
    graph = {
        module: {
            name
            for name in imports(at_import_time(ast.parse(path.read_text())))
            if name in SOURCES and name != module
        }
        for module, path in SOURCES.items()
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("latbench.ops") < order.index("latbench.network")


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_is_longer_than_400_lines(module: str) -> None:
    assert len(SOURCES[module].read_text().splitlines()) <= 400


def test_no_module_reads_or_writes_pickles() -> None:
    for module, path in SOURCES.items():
        names = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))}
        assert not names & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}, module


@pytest.mark.parametrize(
    "module",
    ["latbench", "latbench.backends", "latbench.predictors", "latbench.search", "latbench.spaces",
     "latbench.export", "latbench.dataset", "latbench.weights"],
)  # fmt: skip
def test_importing_a_package_loads_no_framework(module: str) -> None:
    code = (
        f"import sys, {module}; heavy = ('torch', 'sklearn', 'onnx', 'onnxruntime', 'lightgbm', "
        "'scipy', 'matplotlib'); print(*(m for m in heavy if m in sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.split() == []


def test_the_top_level_is_what_it_says() -> None:
    import latbench

    assert re.fullmatch(r"\d+\.\d+\.\d+.*", latbench.__version__)
    assert latbench.__all__ == sorted(latbench.__all__)
    assert set(LENT) <= set(latbench.__all__)
    for name in latbench.__all__:
        assert getattr(latbench, name) is not None
        assert name in dir(latbench)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        latbench.nothing  # noqa: B018


def test_predictors_offers_every_class_by_its_name() -> None:
    from latbench import predictors

    for name in predictors.__all__:
        assert getattr(predictors, name) is not None
        assert name in dir(predictors)
    made = {type(predictors.make_predictor(name)).__name__ for name in predictors.PREDICTORS}
    assert made <= set(predictors.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        predictors.Nothing  # noqa: B018
