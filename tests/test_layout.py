"""The layout that DESIGN.md fixes: which folder is which package, and who may import whom."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTER = ("backends", "predictors", "search")
# DESIGN.md's order: a folder (or a file at the top) may import itself and what stands before it.
LAYERS = (
    {"_version", "errors", "text"},
    {"files", "locks", "npz", "plain_pickle", "plugins", "progress", "validation"},
    {"networks", "device"},
    {"export", "importing"},
    {"models"},
    {"spaces", "sparse", "timing"},
    {"encodings", "zoo"},
    {"backends", "results", "store"},
    {"campaign", "comparison", "predictors"},
    {"fleet", "operators", "profiling", "sampling", "search", "testing"},
    {"report"},
    {"experiment"},
    {"api", "cli", "notebook"},
    {"", "__main__"},
)
# What an outer folder may reach of the others.
MAY_REACH = {"backends": set[str](), "predictors": set[str](), "search": {"predictors"}}
# Folders of one file a runtime, or a command, a table or a question.
MOST = {
    "backends": 23, "latbench/cli": 30, "latbench/campaign": 17, "latbench/store": 20,
    "latbench/spaces": 17,
}  # fmt: skip
# Names that `latbench` itself lends from outside of the core.
LENT = ("LatencyModel", "compare", "fit", "measure", "profile")


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


@cache
def tree_of(path: Path) -> ast.Module:
    """A module's syntax, which several rules look at."""
    return ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    """Names that a module imports, in functions and under TYPE_CHECKING as well: ``a.b`` and, for
    ``from a import b``, both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(module: str) -> set[str]:
    """The modules of the library that a module imports anywhere, by name or by string: a text that
    is a module's name, or ``module:Class``. ``from a import b`` of a module ``a.b`` is that one."""
    tree, found = tree_of(SOURCES[module]), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & set(SOURCES)
            if names - set(SOURCES):
                found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = node.value.partition(":")[0]
            # A package's name alone is also that of an entry-point group, or of a folder of files.
            if named in SOURCES and SOURCES[named].name != "__init__.py":
                found.add(named)
    return found & set(SOURCES) - {module}


def folder_of(module: str) -> str:
    """``search`` for ``latbench.search.x``, ``campaign`` for ``latbench.campaign``."""
    return module.split(".")[1] if "." in module else ""


def test_the_survey_sees_the_library() -> None:
    assert {
        "latbench",
        "latbench.networks.ops",
        "latbench.spaces.cells.darts_space",
        "latbench.backends.base",
    } <= set(SOURCES)


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
        first = {i.split(".")[0] for i in imports(tree_of(path))}
        assert not first & {*OUTER, "tests"}, name


def test_only_the_store_asks_its_file() -> None:
    """What its tables and columns are, nobody else has to know."""
    for module, path in SOURCES.items():
        if folder_of(module) != "store":
            tree = tree_of(path)
            assert "sqlite3" not in set(imports(tree)), module
            texts = [str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant)]
            assert not [t for t in texts if re.search(r"\bFROM \w+\.\w+", t)], module


def level_of(module: str) -> int:
    """The layer that a module is in."""
    (level,) = [i for i, names in enumerate(LAYERS) if folder_of(module) in names]
    return level


@pytest.mark.parametrize("module", SOURCES)
def test_imports_follow_the_layers(module: str) -> None:
    here = folder_of(module)
    for name in reached(module):
        there = folder_of(name)
        assert there == here or level_of(name) < level_of(module), f"{module} reaches {name}"
        if here in OUTER and there in OUTER:
            assert there == here or there in MAY_REACH[here], f"{module} reaches {name}"


def test_every_layer_is_there() -> None:
    assert set().union(*LAYERS) == {folder_of(module) for module in SOURCES}


def test_imports_form_no_circle() -> None:
    graph = {module: reached(module) for module in SOURCES}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("latbench.networks.ops") < order.index("latbench.networks.network")


def test_a_name_in_a_string_is_an_import() -> None:
    """Else a table of strings would hide a circle."""
    assert "latbench.predictors.families.mlp" in reached("latbench.predictors.registry")
    assert "latbench.campaign.worker" in reached("latbench.campaign.client")


def test_no_two_modules_or_classes_share_a_name() -> None:
    """One word for one thing."""
    stems = [p.stem for p in SOURCES.values() if p.stem not in ("__init__", "__main__", "base")]
    trees = [tree_of(path) for path in SOURCES.values()]
    classes = [n.name for tree in trees for n in tree.body if isinstance(n, ast.ClassDef)]
    for names in (stems, classes):
        assert not {name for name, count in Counter(names).items() if count > 1}


@pytest.mark.parametrize("folder", sorted({str(p.parent) for p in SOURCES.values()}))
def test_a_folder_is_what_a_reader_can_hold(folder: str) -> None:
    """About a dozen modules; where it has more, sub-folders."""
    own = [p for p in SOURCES.values() if str(p.parent) == folder and p.name != "__init__.py"]
    assert len(own) <= MOST.get(str(Path(folder).relative_to(ROOT)), 16), sorted(own)


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_is_longer_than_400_lines(module: str) -> None:
    assert len(SOURCES[module].read_text().splitlines()) <= 400


def test_no_module_reads_or_writes_pickles() -> None:
    for module, path in SOURCES.items():
        names = {name.split(".")[0] for name in imports(tree_of(path))}
        assert not names & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}, module


@pytest.mark.parametrize(
    "module",
    ["latbench", "latbench.backends", "latbench.predictors", "latbench.search", "latbench.spaces",
     "latbench.export", "latbench.store.dataset", "latbench.networks.weights"],
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
