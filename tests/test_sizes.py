"""Functions and modules are small enough to be read at once, without exceptions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = sorted(
    path
    for part in ("layoutopt", "passes", "benchmarks", "docs", "examples")
    for path in (ROOT / part).rglob("*.py")
    if not path.is_relative_to(ROOT / "layoutopt" / "passes")  # a link to passes/
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_LINES_OF_A_FUNCTION = 60
MAX_LINES_OF_A_MODULE = 400
MAX_PARAMETERS = 10

MAX_LINES_OF_A_TEST_MODULE = 500

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[tuple[str, Function, bool]]:
    """Yield each function with its name and whether it is public: neither it nor what it stands in begins with _."""

    def inside(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, Function, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function | ast.ClassDef):
                nested = (*names, child.name)
                if isinstance(child, Function):
                    yield ".".join(nested), child, not any(name.startswith("_") for name in nested)
                yield from inside(child, nested)
            else:
                yield from inside(child, names)

    yield from inside(ast.parse(source), ())


def long_functions(source: str) -> list[str]:
    """The functions with more lines than a function may have, decorators aside."""
    found = ((name, node.end_lineno - node.lineno + 1) for name, node, _ in functions(source) if node.end_lineno)
    return [f"{name} has {lines} lines" for name, lines in found if lines > MAX_LINES_OF_A_FUNCTION]


def crowded_functions(source: str) -> list[str]:
    """The public functions with more parameters than one may have."""
    found = (
        (name, len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]))
        for name, node, public in functions(source)
        if public
    )
    return [f"{name} has {count} parameters" for name, count in found if count > MAX_PARAMETERS]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_functions_can_be_read_at_once(path: Path) -> None:
    source = path.read_text()
    assert not long_functions(source)
    assert not crowded_functions(source)


def test_modules_can_be_read_at_once() -> None:
    assert not too_long(OURS, MAX_LINES_OF_A_MODULE)
    assert not too_long(TESTS, MAX_LINES_OF_A_TEST_MODULE)


def too_long(paths: Iterable[Path], limit: int) -> Mapping[str, int]:
    """Return the lines of each module that has more than it may have."""
    lines = {name_of(path): len(path.read_text().splitlines()) for path in paths}
    return {name: count for name, count in lines.items() if count > limit}


def test_the_judge_sees_what_is_too_large() -> None:
    body = "\n".join("        pass" for _ in range(MAX_LINES_OF_A_FUNCTION))
    assert long_functions(f"class A:\n    async def f():\n{body}\n") == ["A.f has 61 lines"]
    assert not long_functions(f"class A:\n    async def f():\n{body[:-13]}\n")
    parameters = ", ".join(f"a{at}" for at in range(MAX_PARAMETERS))
    assert crowded_functions(f"def f({parameters}, *, b): ...\ndef _g({parameters}, b): ...\n") == [
        "f has 11 parameters"
    ]
    assert not crowded_functions(f"def f({parameters}): ...\ndef _f():\n    def g({parameters}, b): ...\n")
    assert len(OURS) > 200
    assert too_long([Path(__file__)], 10)
