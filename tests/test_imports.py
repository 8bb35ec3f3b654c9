"""Imports point one way, only ir/ touches onnx, and what is heavy is loaded when it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "layoutopt"

MAY_IMPORT: Mapping[str, set[str]] = {
    "errors": set(),
    "arrays": set(),
    "memory": set(),
    "tfl": set(),
    "options": set(),
    "outputs": set(),
    "files": set(),
    "progress": set(),
    "text": set(),
    "formula": set(),
    "ir": set(),
    "layout": {"ir"},
    "passes": {"ir", "layout"},
    "pipeline": {"ir", "layout", "passes"},
    "frontend": {"ir"},
    "lowering": {"ir", "tfl"},
    "backend": {"ir", "tfl", "lowering"},
    "quantization": {"tfl", "backend"},
    "boundary": {"ir", "tfl", "passes", "backend"},
    "results": {"ir", "layout", "pipeline", "backend", "quantization"},
    "targets": {"tfl", "results"},
    "fleet": {"backend"},
    "report": {"boundary", "layout", "pipeline", "backend", "quantization", "results", "fleet"},
    "workflows": {
        *("ir", "tfl", "layout", "passes", "pipeline", "frontend", "backend", "quantization", "boundary", "results"),
        "targets",
    },
    "api": {"boundary", "backend", "results", "report", "workflows", "targets"},
    "cli": {
        *("boundary", "ir", "pipeline", "backend", "quantization", "results", "report", "workflows", "api", "fleet")
    },
}
"""For each part of the package, the parts that it may import at run time, beside those that import nothing."""

ANYBODY = {"arrays", "errors", "files", "formula", "memory", "options", "outputs", "progress", "text", "__version__"}

ONNX = {"ir", "backend/onnx_tf"}
"""Who may import onnx: the graph layer, and the backend of onnx-tf, in its child process."""

ROOMS: Mapping[str, set[str]] = {
    "layoutopt": set(),
    "benchmarks": {"layoutopt"},
    "examples": {"layoutopt", "benchmarks"},
    "docs": {"layoutopt", "benchmarks"},
    "tests": {"layoutopt", "benchmarks", "docs"},
}
"""For each top-level directory of code, those that it may import: what measures knows no page, and nothing but a test
knows a test."""

HEAVY = ("keras", "numpy", "onnx", "onnx_ir", "onnx_tf", "onnxruntime", "onnxsim", "scipy", "tensorflow", "torch")


@dataclass(frozen=True)
class Import:
    """One import statement that runs.

    Attributes:
        file: the module that holds it.
        target: the module that it names.
        lazy: whether it stands in a function, and so runs when that is called.
    """

    file: Path
    target: str
    lazy: bool

    @property
    def part(self) -> str:
        """The part of the package that imports."""
        return self.file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    """Every module of the package, with the passes under the name that they are imported by."""
    own = [path for path in PACKAGE.rglob("*.py") if "passes" not in path.relative_to(PACKAGE).parts[:1]]
    return sorted({*own, *(PACKAGE / "passes" / path.name for path in (ROOT / "passes").glob("*.py"))})


def imports(path: Path) -> Iterator[Import]:
    yield from _imports(path, ast.parse(path.read_text()), lazy=False)


def _imports(path: Path, node: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (Import(path, alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{path}: a relative import"
            yield Import(path, str(child.module), lazy)
            yield from (Import(path, f"{child.module}.{alias.name}", lazy) for alias in child.names)
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(path, child, lazy=lazy or inside)


ALL = [each for path in modules() for each in imports(path)]


def test_every_part_has_its_place() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert parts - {"__init__", "__main__"} == set(MAY_IMPORT)
    assert {each.target for each in ALL} >= {"onnx", "onnx_ir", "layoutopt.ir", "layoutopt.layout.plan.planner"}, (
        "imports are not found"
    )


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_point_one_way(part: str) -> None:
    wrong = [
        f"{each.file.relative_to(ROOT)} imports {each.target}"
        for each in ALL
        if each.part == part
        and each.target.startswith("layoutopt.")
        and each.target.split(".")[1] not in MAY_IMPORT[part] | ANYBODY | {part}
    ]
    assert not wrong


def module_of(path: Path) -> str:
    """The dotted name of a module of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(edges: Iterable[tuple[str, str]]) -> list[set[str]]:
    """The sets of modules each of which imports the others, directly or not."""
    return [set(each) for each in nx.strongly_connected_components(nx.DiGraph(edges)) if len(each) > 1]


def test_no_modules_import_each_other() -> None:
    """Nor do they where an import stands in a function, which Python would take."""
    known = {module_of(path) for path in modules()}
    edges = {(module_of(each.file), each.target) for each in ALL if each.target in known}
    assert len(edges) > 1000
    assert not circles((source, target) for source, target in edges if target != "layoutopt")


def test_circles_are_found() -> None:
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]) == [{"a", "b", "c"}]


def test_no_more_is_allowed_than_is_used() -> None:
    used = {(each.part, each.target.split(".")[1]) for each in ALL if each.target.startswith("layoutopt.")}
    allowed = {(part, other) for part, others in MAY_IMPORT.items() for other in others}
    assert not allowed - used


def test_the_drawing_is_in_step() -> None:
    drawn = (ROOT / "CONTRIBUTING.md").read_text().partition("<!-- imports -->\n```text\n")[2].partition("```")[0]
    lines = {part: at for at, line in enumerate(drawn.splitlines()) for part in line.split()}
    assert set(lines) == set(MAY_IMPORT)
    upward = [
        f"{part} imports {other}"
        for part, others in MAY_IMPORT.items()
        for other in others
        if lines[part] >= lines[other]
    ]
    assert not upward
    assert {part for part, line in lines.items() if line == max(lines.values())} == ANYBODY - {"__version__"}


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_imported_is_there(room: str) -> None:
    """Nor may an import that stands in a function, which runs when that is called, name what is gone."""
    files = modules() if room == "layoutopt" else sorted((ROOT / room).rglob("*.py"))
    wrong = {
        f"{path.relative_to(ROOT)} imports {each.target}"
        for path in files
        for each in imports(path)
        if each.target.split(".")[0] in ROOMS and not is_defined(each.target)
    }
    assert not wrong


@cache
def is_defined(target: str) -> bool:
    """Whether a module is there, or a name that a module defines or imports."""
    path = ROOT.joinpath(*target.split("."))
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    package = path.parent / "__init__.py"
    parent = package if package.exists() else path.parent.with_suffix(".py")
    return parent.exists() and bool(re.search(rf"\b{path.name}\b", parent.read_text()))


def test_what_is_gone_is_found() -> None:
    known = ("layoutopt.ir", "layoutopt.ir.io", "layoutopt.ir.io.load", "layoutopt.optimize", "docs.tools")
    assert all(is_defined(target) for target in known)
    assert not any(is_defined(target) for target in ("layoutopt.ir.io.lode", "layoutopt.iro", "layoutopt.iro.load"))


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_between_the_package_benchmarks_docs_and_tests(room: str) -> None:
    order = list(ROOMS)
    assert all(order.index(other) < order.index(room) for other in ROOMS[room])
    files = modules() if room == "layoutopt" else sorted((ROOT / room).rglob("*.py"))
    targets = {(path, each.target) for path in files for each in imports(path)}
    used = {(path, target.split(".")[0]) for path, target in targets if target.split(".")[0] in ROOMS}
    wrong = [f"{path.relative_to(ROOT)} imports {other}" for path, other in used if other not in ROOMS[room] | {room}]
    assert not wrong
    assert {other for _, other in used} >= ROOMS[room], "no more is allowed than is used"


def test_only_the_graph_layer_imports_onnx() -> None:
    wrong = [
        f"{each.file.relative_to(ROOT)} imports {each.target}"
        for each in ALL
        if each.target.split(".")[0] == "onnx"
        and not any(each.file.is_relative_to(PACKAGE / allowed) for allowed in ONNX)
    ]
    assert not wrong


def test_the_layer_of_litert_knows_neither_onnx_nor_tensorflow() -> None:
    foreign = {"onnx", "onnx_ir", "onnx_tf", "onnxruntime", "tensorflow"}
    wrong = [
        f"{each.file.relative_to(ROOT)} imports {each.target}"
        for each in ALL
        if each.part == "tfl" and each.target.split(".")[0] in foreign
    ]
    assert not wrong
    assert loaded_by("import layoutopt.tfl.build, layoutopt.tfl.reader, layoutopt.tfl.rewrites") == {"numpy"}


def test_no_module_is_called_like_a_package_that_it_imports() -> None:
    wrong = [
        f"{each.file.relative_to(ROOT)} imports {each.target}"
        for each in ALL
        if each.target.split(".")[0] == (each.file.parent.name if each.file.stem == "__init__" else each.file.stem)
    ]
    assert not [text for text in wrong if not text.startswith("layoutopt/__init__.py imports layoutopt")]


def loaded_by(statement: str, packages: Sequence[str] = HEAVY) -> set[str]:
    """The heavy packages in ``sys.modules`` of a fresh interpreter behind ``statement``."""
    code = f"import sys\n{statement}\nprint(*(name for name in {packages!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_judge_of_what_is_loaded_can_see() -> None:
    assert loaded_by("import numpy") == {"numpy"}


@pytest.mark.parametrize("statement", ["import layoutopt", "import layoutopt.errors", "import layoutopt.cli"])
def test_importing_is_light(statement: str) -> None:
    assert loaded_by(statement) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["optimize", "--help"], ["calibrate", "--help"]])
def test_help_is_light(arguments: list[str]) -> None:
    statement = (
        f"import contextlib, io, layoutopt.cli\nsys.argv = ['layoutopt', *{arguments!r}]\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n    layoutopt.cli.main()"
    )
    assert loaded_by(statement) == set()


def test_symbolic_sizes_bring_sympy_when_they_are_computed_with() -> None:
    statement = (
        "import layoutopt.api, onnx_ir as ir\nfrom layoutopt.frontend.demo import mobilenet_v2\n"
        "layoutopt.optimize(mobilenet_v2(resolution=32, width=0.1), convert=False)\nsize = ir.SymbolicDim('N')\n"
    )
    assert "sympy" not in loaded_by(statement, (*HEAVY, "sympy"))
    statement += (
        "assert (size + 1).value == 'N + 1'\nassert ir.SymbolicDim('max(N, 2)').evaluate({'N': 1}) == 2\n"
        "import sympy\nassert ir.SymbolicDim(sympy.Symbol('M')).value == 'M'"
    )
    assert "sympy" in loaded_by(statement, (*HEAVY, "sympy"))


def test_a_few_choices_need_no_scipy() -> None:
    statement = (
        "from layoutopt.layout.solver.assign import assign\n"
        "from layoutopt.layout.solver.problem import Net, Pin, Problem\n"
        "net = Net(Pin(0, (0, 1)), (Pin(1, (0, 1)),), 2, 8)\n"
        "assert assign(Problem(((0, 4), (4, 0)), (net,))).cost == 4"
    )
    assert "scipy" not in loaded_by(statement)


def test_everything_public_is_there() -> None:
    import layoutopt

    for name in layoutopt.__all__:
        assert getattr(layoutopt, name) is not None
    assert dir(layoutopt) == layoutopt.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = layoutopt.nothing
