"""What targets take, case by case as their makers have published it; how a graph is cut; and Vela as the judge."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt import errors
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.cli import app
from layoutopt.options import Target
from layoutopt.targets.checker import check_graph, partitions
from layoutopt.targets.rules import rule_table
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Operation
from layoutopt.tfl.opset import OPSET, definition
from layoutopt.tfl.schema import OPERATOR_CODES
from tests.targets.cases import CASES, EDGETPU, ETHOS, GPU, GRID, c, f, graph_of


@pytest.mark.parametrize(
    ("target", "graph", "why"), CASES, ids=[f"{t.value}-{g.operations[0].code}-{w or 'ok'}"[:60] for t, g, w in CASES]
)
def test_what_is_published(target: Target, graph: Graph, why: str) -> None:
    report = check_graph(graph, target, Path("m.tflite"))
    assert report.passes == (not why), report
    assert report.taken == report.partitions == report.run == int(not why)
    if why:
        (finding,) = report.findings
        assert why in "; ".join(finding.reasons)
    else:
        assert not [finding for finding in report.findings if finding.certain]


def test_there_are_cases_enough() -> None:
    assert sum(target in (GPU, EDGETPU) for target, _, _ in CASES) >= 30
    for target in Target:
        assert {bool(why) for each, _, why in CASES if each is target} == {True, False}


@pytest.mark.parametrize("target", Target)
def test_tables_are_sound(target: Target) -> None:
    table = rule_table(target)
    assert table.source.startswith("https://")
    assert table.date.year >= 2026
    named = {*table.rules, *table.missing} - {"TFLite_Detection_PostProcess"}
    assert named <= OPERATOR_CODES.keys(), named - OPERATOR_CODES.keys()
    assert not table.missing.keys() & table.rules.keys()
    for code, rule in table.rules.items():
        roles = set(definition(code).operands)
        asked = [*rule.conditions.get("constant", ()), *rule.conditions.get("role_types", ())]
        assert set(asked) <= roles | {"bias"} or code not in OPSET, code


def test_of_wrong_types_nothing_else_is_told() -> None:
    (finding,) = check_graph(
        graph_of("CONV_2D", [f(2, 8, 8, 3), f(4, 3, 3, 3)], [f(2, 8, 8, 4)]), ETHOS, Path()
    ).findings
    assert len(finding.reasons) == 1
    assert "--quantize int8" in finding.mends[0]


def chain(*codes: str) -> Graph:
    value = f(1, 4, 4, 8)
    graph = Graph([value], [], [])
    for code in codes:
        step = graph_of(code, [value, c(0)] if code == "EXPAND_DIMS" else [value], [f(1, 4, 4, 8)])
        graph.operations += step.operations
        value = step.outputs[0]
    graph.outputs = [value]
    return graph


def test_a_gpu_gets_the_largest_part_and_an_edge_tpu_the_first() -> None:
    graph = chain("RELU", "EXPAND_DIMS", "RELU", "TANH", "EXPAND_DIMS", "ABS")
    report = check_graph(graph, GPU, Path())
    assert (report.taken, report.partitions, report.run) == (4, 3, 2)
    for operation in graph.operations:
        for value in (*operation.operands, *operation.results):
            if value is not None and not value.is_constant:
                value.dtype, value.quantization = DType.INT8, GRID
    report = check_graph(chain_of_integers(graph, "RELU", "HARD_SWISH", "TANH", "RELU"), EDGETPU, Path())
    assert (report.taken, report.partitions, report.run) == (3, 2, 1)


def chain_of_integers(graph: Graph, *codes: str) -> Graph:
    kept = graph.operations[: len(codes)]
    for operation, code in zip(kept, codes, strict=True):
        operation.code = code
        operation.operands = operation.operands[:1]
    return Graph(graph.inputs, [kept[-1].results[0]], kept)


def test_parts_are_those_of_litert() -> None:
    """By brute force: the epochs of PartitionGraphIntoIndependentNodeSubsets, on random graphs."""
    rng = random.Random(3)
    for _ in range(200):
        values = [f(4)]
        graph = Graph([values[0]], [], [])
        for _ in range(rng.randint(1, 12)):
            operands = [rng.choice(values) for _ in range(rng.randint(1, 2))]
            step = graph_of("ADD", operands, [f(4)])
            graph.operations += step.operations
            values += step.outputs
        refused = {each for each in graph.operations if rng.random() < 0.4}
        assert [set(part) for part in partitions(graph, refused)] == epochs(graph, refused)


def epochs(graph: Graph, refused: set[Operation]) -> list[set[Operation]]:
    """An epoch for each operation, found one operation at a time and in the order of the file, as LiteRT does it."""
    epoch_of: dict[Operation, int] = {}
    kinds: list[bool] = []
    while len(epoch_of) < len(graph.operations):
        kind: bool | None = None
        progress = True
        while progress:
            progress = False
            for operation in graph.operations:
                ready = all(x is None or x.producer is None or x.producer in epoch_of for x in operation.operands)
                if operation in epoch_of or not ready:
                    continue
                kind = operation not in refused if kind is None else kind
                if kind == (operation not in refused):
                    epoch_of[operation] = len(kinds)
                    progress = True
        kinds.append(bool(kind))
    return [{each for each in epoch_of if epoch_of[each] == number} for number, kind in enumerate(kinds) if kind]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    graph = chain("RELU", "EXPAND_DIMS", "TANH")
    write_tflite(Model(graph, ["x"], ["y"]), path)
    return path


def test_the_command_line(model: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(model), "--target", "gpu"])
    assert result.exit_code == 0, result.output
    assert "It runs 2 of 3 operators, in 2 parts; by default 1 of them run there." in result.stdout
    assert "EXPAND_DIMS: RESHAPE does the same" in result.stdout
    assert "gpu_compatibility.cc" in result.stdout
    strict = CliRunner().invoke(app, ["check", str(model), "--target", "gpu", "--strict", "--json", "-"])
    assert strict.exit_code == errors.TargetError.exit_code
    assert json.loads(strict.stdout)["findings"][0]["position"] == 1
    assert CliRunner().invoke(app, ["check", str(model), "--target", "micro", "--strict"]).exit_code == 0
    assert layoutopt.check(model, "micro").passes
    with pytest.raises(errors.UsageError, match="gpux"):
        layoutopt.check(model, "gpux")


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"nonsense")
    for name, kind in (("m.tflite", errors.InvalidModelError), ("no.tflite", errors.ModelNotFoundError)):
        result = CliRunner().invoke(app, ["check", str(tmp_path / name), "--target", "gpu"])
        assert result.exit_code == kind.exit_code
        assert result.stderr.count("\n") == 1


@pytest.mark.vela
@pytest.mark.skipif(importlib.util.find_spec("ethosu") is None, reason="needs ethos-u-vela")
def test_vela_says_the_same(tmp_path: Path) -> None:
    """Each case of Ethos-U by itself: Vela puts it on the NPU, or leaves it to the CPU."""
    for number, (target, graph, why) in enumerate(CASES):
        if target is not ETHOS:
            continue
        for at, value in enumerate([*graph.inputs, *graph.outputs]):
            value.name = f"value{at}"
        path = tmp_path / f"case{number}.tflite"
        write_tflite(Model(graph, [x.name for x in graph.inputs], [y.name for y in graph.outputs]), path)
        command = [sys.executable, "-m", "ethosu.vela", str(path), "--output-dir", str(tmp_path)]
        said = subprocess.run([*command, "--show-cpu-operations"], capture_output=True, text=True, check=True).stdout
        on_cpu = re.search(r"CPU operators = (\d+)", said)
        assert on_cpu is not None, said
        assert (int(on_cpu[1]) > 0) == bool(why), (graph.operations[0].code, why, said)
