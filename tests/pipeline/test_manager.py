"""The manager runs, counts, calls instruments, and holds every pass to the interface."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import onnx_ir as ir
import pytest

from layoutopt.errors import InvalidModelError, PassFailedError, VerificationError
from layoutopt.passes import CancelTransposes, EliminateDeadCode, PropagateLayout
from layoutopt.pipeline.manager import PassManager
from tests.harness import model_of

TEXT = """g (float[1,3,4,4] x) => (float[1,3,4,4] y) {
    a = Transpose <perm = [0, 2, 3, 1]> (x) b = Transpose <perm = [0, 3, 1, 2]> (a) d = Neg (b) y = Relu (b)
}"""


@dataclass(frozen=True)
class RenameOutput(ir.passes.InPlacePass):
    """Breaks the contract: an output gets another name."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph.outputs[0].name = "other"
        return ir.passes.PassResult(model, True)


@dataclass(frozen=True)
class DropOutput(ir.passes.InPlacePass):
    """Breaks the contract: an output is gone."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        del model.graph.outputs[0]
        return ir.passes.PassResult(model, True)


@dataclass(frozen=True)
class ChangeType(ir.passes.InPlacePass):
    """Breaks the contract: an input has another type."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph.inputs[0].dtype = ir.DataType.DOUBLE
        return ir.passes.PassResult(model, True)


@dataclass(frozen=True)
class FailAtOnce(ir.passes.InPlacePass):
    """Raises."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        raise ZeroDivisionError("no reason")


def test_records() -> None:
    started: list[str] = []
    manager = PassManager((CancelTransposes(), EliminateDeadCode(), EliminateDeadCode()), on_start=started.append)
    result = manager.run(model_of(TEXT))
    assert started == [f"passes: {record.name}" for record in result.records]
    assert [record.name for record in result.records] == [
        "cancel-transposes",
        "eliminate-dead-code",
        "eliminate-dead-code",
    ]
    assert [record.modified for record in result.records] == [True, True, False]
    assert [(record.nodes_before, record.nodes_after) for record in result.records] == [(4, 2), (2, 1), (1, 1)]
    assert [(record.transposes_before, record.transposes_after) for record in result.records] == [
        (2, 0),
        (0, 0),
        (0, 0),
    ]
    assert all(record.seconds >= 0 for record in result.records)
    assert result.assignment is None
    assert [node.op_type for node in result.model.graph] == ["Relu"]


def test_the_assignment_is_that_of_the_last_propagation() -> None:
    result = PassManager((PropagateLayout(), CancelTransposes())).run(model_of(TEXT))
    assert result.assignment is not None
    assert (result.assignment.cost, result.assignment.proved_optimal) == (0, True)


def test_instruments_run_behind_each_pass_in_order() -> None:
    calls: list[tuple[str, int, str, int]] = []

    def note(instrument: str, position: int, name: str, model: ir.Model) -> None:
        calls.append((instrument, position, name, len(model.graph)))

    after = [lambda *call, which=which: note(which, *call) for which in ("one", "two")]
    PassManager((CancelTransposes(), EliminateDeadCode()), after=after).run(model_of(TEXT))
    assert calls == [
        ("one", 1, "cancel-transposes", 2),
        ("two", 1, "cancel-transposes", 2),
        ("one", 2, "eliminate-dead-code", 1),
        ("two", 2, "eliminate-dead-code", 1),
    ]


@pytest.mark.parametrize("bad", [RenameOutput(), DropOutput(), ChangeType()])
def test_a_pass_that_changes_the_interface_is_named(bad: ir.passes.PassBase) -> None:
    with pytest.raises(
        PassFailedError, match=r"pass 2 \((rename-output|drop-output|change-type)\) changed the interface"
    ):
        PassManager((CancelTransposes(), bad)).run(model_of(TEXT))


def test_a_pass_that_raises_is_named() -> None:
    with pytest.raises(PassFailedError, match=r"pass 2 \(fail-at-once\) failed") as error:
        PassManager((CancelTransposes(), FailAtOnce())).run(model_of(TEXT))
    assert error.value.__cause__ is not None


def test_what_an_instrument_raises_goes_through() -> None:
    def judge(position: int, name: str, model: ir.Model) -> None:
        raise VerificationError(f"{name} at {position}")

    with pytest.raises(VerificationError, match="cancel-transposes at 1"):
        PassManager((CancelTransposes(),), after=[judge]).run(model_of(TEXT))


def test_garbage_is_looked_for_less_often_for_a_while() -> None:
    inside = []

    class Look(ir.passes.InPlacePass):
        def call(self, model: ir.Model) -> ir.passes.PassResult:
            inside.append(gc.get_threshold()[0])
            raise InvalidModelError("stop")

    before = gc.get_threshold()
    with pytest.raises(InvalidModelError):
        PassManager([Look()]).run(model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }"))
    assert inside[0] > before[0]
    assert gc.get_threshold() == before
