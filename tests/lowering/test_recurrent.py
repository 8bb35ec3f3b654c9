"""LSTM, GRU and RNN against ONNX Runtime: directions, lengths, states, activations, few steps and many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.errors import UnsupportedOperatorError
from layoutopt.lowering.recurrence import Schedule
from tests.conversion_cases import Case, CaseRunner, floats

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUT, HIDDEN, BATCH = 4, 3, 2


def recurrent(
    operator: str,
    attributes: str = "",
    operands: str = "x, w, r, b",
    *,
    steps: int = 5,
    directions: int = 1,
    dialect: bool = False,
    **more: npt.ArrayLike,
) -> Case:
    """A case with all results; operands after ``b`` are constants, given by name."""
    gates = GATES[operator]
    outputs = ("y", "h", "c") if operator == "LSTM" else ("y", "h")
    constants: dict[str, npt.ArrayLike] = {
        "w": floats(directions, gates * HIDDEN, INPUT) * 0.4,
        "r": floats(directions, gates * HIDDEN, HIDDEN) * 0.4,
        "b": floats(directions, 2 * gates * HIDDEN) * 0.3,
        **more,
    }
    attributes = f"hidden_size={HIDDEN}" + (f", {attributes}" if attributes else "")
    body = f"{', '.join(outputs)} = {'layoutopt.nhwc.' * dialect}{operator}<{attributes}>({operands})"
    shape = (BATCH, steps, INPUT) if "input_order" in attributes else (steps, BATCH, INPUT)
    return Case(body, {"x": floats(*shape)}, constants, outputs=outputs)


def state(directions: int = 1) -> npt.NDArray[np.float32]:
    return floats(directions, BATCH, HIDDEN)


def lengths(*each: int) -> npt.NDArray[np.int32]:
    return np.array(each, np.int32)


BOTH = 'direction="bidirectional"'

CASES = {
    **{f"{name}": recurrent(name, operands="x, w, r, b, , h0", h0=state()) for name in GATES},
    **{f"{name} both ways": recurrent(name, BOTH, steps=21, directions=2) for name in GATES},
    **{
        f"{name} backwards to lengths": recurrent(
            name, 'direction="reverse"', "x, w, r, b, l", l=lengths(3, 5)
        ).with_run_time("l")
        for name in GATES
    },
    **{
        f"{name} to lengths in a loop": recurrent(name, BOTH, "x, w, r, b, l", steps=19, directions=2, l=lengths(19, 7))
        for name in GATES
    },
    **{f"{name} clipped without biases": recurrent(name, "clip=0.2", "x, w, r") for name in GATES},
    "LSTM states and peepholes": recurrent(
        "LSTM", "clip=0.5", "x, w, r, b, , h0, c0, p", h0=state(), c0=state(), p=floats(1, 9)
    ),
    "LSTM coupled": recurrent("LSTM", "input_forget=1"),
    "LSTM activations": recurrent(
        "LSTM",
        f'{BOTH}, activations=["HardSigmoid","Relu","Softsign","Sigmoid","LeakyRelu","Affine"], '
        "activation_alpha=[0.3,0.2,1.5], activation_beta=[0.4,0.1]",
        directions=2,
    ),
    "LSTM more activations": recurrent(
        "LSTM", 'activations=["Sigmoid","Elu","ScaledTanh"], activation_alpha=[0.7,1.1], activation_beta=[0.9]'
    ),
    "RNN softplus": recurrent("RNN", 'activations=["Softplus"]'),
    "RNN thresholded": recurrent("RNN", 'activations=["ThresholdedRelu"], activation_alpha=[0.1]'),
    "GRU reset after": recurrent("GRU", "linear_before_reset=1", steps=24),
    "weights at run time": recurrent("GRU").with_run_time("w", "r", "b"),
}


ORDERS = {
    "LSTM, batch before time": recurrent(
        "LSTM", f"{BOTH}, input_order=[1,0,2], output_order=[2,0,1,3]", steps=21, directions=2, dialect=True
    ),
    "GRU, batch before time in the input alone": recurrent(
        "GRU", "input_order=[1,0,2]", "x, w, r, b, l, h0", steps=19, l=lengths(19, 7), h0=state(), dialect=True
    ),
    "RNN, batch before time in the output alone": recurrent(
        "RNN", f"{BOTH}, output_order=[1,2,0,3]", "x, w, r, b, l", directions=2, l=lengths(5, 2), dialect=True
    ),
    "RNN backwards, batch before time": recurrent(
        "RNN", 'direction="reverse", input_order=[1,0,2], output_order=[2,1,0,3]', steps=30, dialect=True
    ),
}
"""The dialect's: input and output in another order of their axes."""


@pytest.mark.parametrize("name", ORDERS)
def test_any_order_of_axes_needs_no_transpose(name: str, runner: CaseRunner) -> None:
    operators = runner.check(ORDERS[name])
    assert "TRANSPOSE" not in operators


ALIKE = ("GRU both ways", "RNN both ways", "GRU to lengths in a loop", "RNN to lengths in a loop")
"""Cases in which the operators differ as they do in others."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in ALIKE else name for name in CASES]
)
def test_computes_what_onnx_runtime_does(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])


@pytest.mark.parametrize("operator", ["LSTM", *(pytest.param(name, marks=pytest.mark.long) for name in ("GRU", "RNN"))])
def test_batch_first(operator: str, runner: CaseRunner) -> None:
    case = recurrent(operator, "layout=1")
    case = Case(case.body, {"x": floats(BATCH, 5, INPUT)}, case.constants, outputs=case.outputs, reference=True)
    operators = runner.check(case)
    assert "TRANSPOSE" not in operators or runner.onnx_tf  # TensorFlow's converter may write some of its own


def test_loops_share_the_weights(runner: CaseRunner) -> None:
    """Many steps are several loops of few operators, whose weights are in the file once."""
    operators = runner.check(recurrent("LSTM", steps=321))
    assert 1 < operators["WHILE"] < 20 or runner.onnx_tf
    assert operators["FULLY_CONNECTED"] < 8
    assert sum(operators.values()) < 150


@pytest.mark.parametrize("steps", [*range(9, 24), 100, 301])
@pytest.mark.parametrize("per_round", [1, 3, 4])
@pytest.mark.parametrize("per_loop", [1, 2, 5])
def test_any_schedule_makes_all_steps(
    steps: int, per_round: int, per_loop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many steps are left over, after the rounds of a loop and after the loops."""
    if per_round * per_loop > steps:
        pytest.skip("a loop of more steps than there are")
    monkeypatch.setattr(Schedule, "of", lambda *_, **__: Schedule(per_round, per_round * per_loop))
    case = recurrent("GRU", BOTH, "x, w, r, b, l", steps=steps, directions=2, l=lengths(steps, 7))
    CaseRunner(tmp_path).check(case)


@settings(max_examples=300)
@given(
    steps=st.integers(1, 2000),
    hidden=st.integers(1, 2000),
    gates=st.sampled_from([1, 3, 4]),
    batch=st.integers(1, 64),
    share=st.booleans(),
    resizable=st.booleans(),
)
def test_a_schedule_is_made_of_whole_rounds(
    steps: int, hidden: int, gates: int, batch: int, share: bool, resizable: bool
) -> None:
    weights = 4 * gates * hidden**2
    schedule = Schedule.of(steps, weights, 4 * batch * (gates + 1) * hidden, share_bodies=share, resizable=resizable)
    if not schedule.per_loop:
        assert schedule.per_round == steps <= 8
        return
    assert 1 <= schedule.per_round <= schedule.per_loop <= steps
    assert schedule.per_loop % schedule.per_round == 0
    assert schedule.per_round == 1 or schedule.per_round * weights <= 1 << 19 or not share
    assert steps - schedule.per_loop < schedule.per_round or (share and not resizable)


def test_an_unknown_activation_names_the_node(runner: CaseRunner) -> None:
    case = recurrent("RNN", 'activations=["Swish"]')
    with pytest.raises(UnsupportedOperatorError, match=r"node y \(RNN, opset 18\): unknown activations: Swish"):
        runner.convert(case, [floats(5, 1, BATCH, HIDDEN), floats(1, BATCH, HIDDEN)])
