"""The form of a case of a layout rule, and the cases that operators of one kind have in common."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from tests.harness import model_of

POOLED = "p = GlobalAveragePool (t)"


@dataclass(frozen=True)
class Case:
    """One operator between channels-last neighbours.

    Attributes:
        body: from ``t`` and ``s``, two convolutions of shape (1, 4, 6, 6), and ``v``, an input of shape (6), to ``u``.
        opset: of the model.
        result: element type of ``u``.
        tail: whether a pool, which is an anchor, reads ``u``; without it ``u`` is an output.
        inside: bytes that the target moves inside operators all the same.
    """

    body: str
    opset: int = 17
    result: str = "float"
    tail: bool = True
    inside: int = 0

    def model(self) -> ir.Model:
        head, tail = f"{self.result} u", ""
        if self.tail:
            head, tail = "float y", "y = MaxPool <kernel_shape = [1, 1]> (u)"
        return model_of(
            f"""
            g (float[1,3,6,6] x, float[6] v) => ({head})
            <{floats("w", 4, 3, 1, 1)}, {floats("w2", 4, 3, 1, 1)}, {floats("c", 4, 1, 1)},
             {floats("full", 1, 4, 6, 6)},
             {floats("c3", 4, 1, 3, 3)}, {floats("c22", 4, 2, 2, 2)}, {floats("bias", 4)},
             {floats("m4", 4, 5)}, {floats("m44", 4, 4)},
             float[4] scales = {{1, 1, 2, 3}}, int64[4] fourfold = {{1, 4, 1, 1}}> {{
                t = Conv (x, w)
                s = Conv (x, w2)
                {self.body}
                {tail}
            }}
            """,
            opset=self.opset,
        )


def floats(name: str, *shape: int) -> str:
    """The text of an initializer in which no two elements are alike."""
    values = np.random.default_rng(prod(shape)).permutation(prod(shape)) / 7 - 1.3
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(f'{value:.4f}' for value in values)}}}"


def ints(name: str, *values: int, kind: str = "int64") -> str:
    return f"{name} = Constant <value = {kind}[{len(values)}] {{{', '.join(map(str, values))}}}> ()"


UNARY = (
    "Abs",
    "Acos",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Celu",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
)

ARITHMETIC = ("Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum")

COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")

REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)


def binary(operator: str, attributes: str = "") -> tuple[Case, ...]:
    """Two values, a value twice, a constant or a value of equal or lower rank on either side."""
    pairs = ("t, s", "t, c", "c, t", "full, t", "t, v", "v, t", "t, t")
    scalar = f"one = Constant <value = float {{1.5}}> () u = {operator} {attributes} (t, one)"
    return (*(Case(f"u = {operator} {attributes} ({pair})") for pair in pairs), Case(scalar))


def comparison(operator: str) -> tuple[Case, ...]:
    return tuple(
        Case(f"u = {operator} ({pair})", result="bool", tail=False) for pair in ("t, s", "t, c", "c, t", "t, v", "v, t")
    )


def logic(operator: str) -> tuple[Case, ...]:
    masks = "a = Greater (t, s) b = Greater (t, c)"
    return (Case(f"{masks} u = {operator} (a, b)", result="bool", tail=False),)


def reduction(operator: str) -> tuple[Case, ...]:
    """Axes as an attribute, as an operand, or none; kept or dropped; negative or not."""
    first = 13 if operator == "ReduceSum" else 18
    old = [
        Case(f"u = {operator} <axes = [{axes}], keepdims = {keep}> (t)", opset=12, tail=bool(keep))
        for axes, keep in (("1", 1), ("-3", 0), ("2, 3", 1), ("-1, 2", 0), ("0, 1", 0))
    ]
    new = [
        Case(f"{ints('axes', *axes)} u = {operator} <keepdims = {keep}> (t, axes)", opset=opset, tail=bool(keep))
        for axes, keep, opset in (((1,), 1, first), ((1,), 0, 18), ((-1, 2), 1, 18), ((3, -2), 0, 18), ((0, 1), 0, 18))
    ]
    everything = [
        Case(f"u = {operator} <keepdims = {keep}> (t)", opset=opset, tail=bool(keep))
        for keep, opset in ((1, 12), (0, 18))
    ]
    nothing = [Case(f"u = {operator} <keepdims = {keep}, noop_with_empty_axes = 1> (t)", opset=18) for keep in (0, 1)]
    return (*old, *new, *everything, *nothing)


def arg_reduction(operator: str) -> tuple[Case, ...]:
    forms = (
        "<axis = 1, keepdims = 0>",
        "<axis = 1>",
        "<axis = -1>",
        "<axis = -2, keepdims = 0>",
        "",
        "<axis = 3, keepdims = 0>",
    )
    return tuple(Case(f"u = {operator} {form} (t)", result="int64", tail=False) for form in forms)


def global_pool(operator: str) -> tuple[Case, ...]:
    return (Case(f"p = {operator} (t) u = Mul (t, p)"), Case(f"u = {operator} (t)"))


def last_axis(operator: str) -> tuple[Case, ...]:
    """Along the channels, which lie last in channels-last: free there, and there alone; or over all but the batch."""
    newer = (Case(f"u = {operator} <axis = {axis}> (t)", opset=opset) for axis, opset in ((1, 13), (-3, 17)))
    pooled = f"{POOLED} e = {operator} <axis = {{axis}}> (p) u = Mul (t, e)"
    older = (Case(pooled.format(axis=axis), opset=opset) for axis, opset in ((1, 11), (-3, 12)))
    return (*newer, *older)


def bitwise(operator: str, attributes: str = "") -> tuple[Case, ...]:
    """On whole numbers; one operand of lower rank."""
    whole = "a = Cast <to = 2> (t) b = Cast <to = 2> (s)"
    lower = "a = Cast <to = 2> (t) b = Cast <to = 2> (v)"
    forms = (f"{numbers} r = {operator} {attributes} (a, b) u = Cast <to = 1> (r)" for numbers in (whole, lower))
    return tuple(Case(form, opset=18) for form in forms)


def accumulation(operator: str, opset: int) -> tuple[Case, ...]:
    axis = "k = Constant <value = int64 {AXIS}> () u = OPERATOR <FORM> (t, k)".replace("OPERATOR", operator)
    forms = (("1", "exclusive = 1"), ("-1", "reverse = 1"), ("0", "exclusive = 0"))
    return tuple(Case(axis.replace("AXIS", at).replace("FORM", form), opset=opset) for at, form in forms)


def normalization(operator: str, opset: int) -> tuple[Case, ...]:
    """Over the channels, after a Transpose, and over all axes."""
    before = "n = Transpose <perm = [0, 2, 3, 1]> (t)"
    after = "u = Transpose <perm = [0, 3, 1, 2]> (m)"
    return (
        Case(f"{before} m = {operator} (n, bias) {after}", opset=opset),
        Case(f"{before} m = {operator} <axis = 3, epsilon = 0.1> (n, bias) {after}", opset=opset),
        Case(f"u = {operator} <axis = 0> (t, full)", opset=opset),
    )


def quantization(operator: str, source: str) -> tuple[Case, ...]:
    """One scale for all, with and without a zero point, and one per channel or row."""
    tail = "" if operator == "DequantizeLinear" else " u = DequantizeLinear (r, one)"
    name = "u" if operator == "DequantizeLinear" else "r"
    one = "one = Constant <value = float {0.5}> ()"
    single = "ones = Constant <value = float[1] {0.5}> ()"
    zero = "zero = Constant <value = uint8 {3}> ()"
    positive = "scale = Abs (bias)"
    forms = (
        (f"{one} {source} {name} = {operator} (q, one){tail}", 10),
        (f"{one} {zero} {source} {name} = {operator} (q, one, zero){tail}", 10),
        (f"{one} {single} {source} {name} = {operator} (q, ones){tail}", 13),
        (f"{one} {positive} {source} {name} = {operator} (q, scale){tail}", 13),
        (f"{one} {positive} {source} {name} = {operator} <axis = -3> (q, scale){tail}", 13),
        (f"{one} scale = Exp (v) {source} {name} = {operator} <axis = 2> (q, scale){tail}", 13),
    )
    return tuple(Case(form, opset=opset) for form, opset in forms)
