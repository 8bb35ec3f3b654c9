"""LSTM, GRU and RNN against ONNX Runtime: directions, lengths, states, activations, few steps and many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.handoff import Case, HandOff, floats

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUT, HIDDEN, BATCH = 4, 3, 2


def recurrent(
    operator: str,
    attributes: str = "",
    operands: str = "x, w, r, b",
    *,
    steps: int = 5,
    directions: int = 1,
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
    body = f"{', '.join(outputs)} = {operator}<{attributes}>({operands})"
    return Case(body, {"x": floats(steps, BATCH, INPUT)}, constants, outputs=outputs)


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


ALIKE = ("GRU both ways", "RNN both ways", "GRU to lengths in a loop", "RNN to lengths in a loop")
"""Cases in which the operators differ as they do in others."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in ALIKE else name for name in CASES]
)
def test_computes_what_onnx_runtime_does(name: str, hand_off: HandOff) -> None:
    hand_off.check(CASES[name])


@pytest.mark.parametrize("operator", ["LSTM", *(pytest.param(name, marks=pytest.mark.long) for name in ("GRU", "RNN"))])
def test_batch_first(operator: str, hand_off: HandOff) -> None:
    case = recurrent(operator, "layout=1")
    case = Case(case.body, {"x": floats(BATCH, 5, INPUT)}, case.constants, outputs=case.outputs, reference=True)
    hand_off.check(case)


def test_many_steps_become_one_loop(hand_off: HandOff) -> None:
    operators = hand_off.check(recurrent("LSTM", steps=320))
    assert operators["WHILE"] == 1
    assert sum(operators.values()) < 100


def test_an_unknown_activation_names_the_node(hand_off: HandOff) -> None:
    case = recurrent("RNN", 'activations=["Swish"]')
    with pytest.raises(UnsupportedOperatorError, match=r"node y \(RNN, opset 18\): unknown activations: Swish"):
        hand_off.convert(case, [floats(5, 1, BATCH, HIDDEN), floats(1, BATCH, HIDDEN)])
