"""Models that ONNX's checker accepts and that native code would break on, and networks to be mutated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, numpy_helper
from onnx.helper import (
    make_function,
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
)

from layoutopt.ir import io

FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
SHAPE = (1, 3, 8, 8)
KERNEL = np.zeros((4, 3, 3, 3), np.float32)
Weight = Any  # an array or a list of whole numbers


def model(
    *nodes: onnx.NodeProto,
    x: Sequence[int] = SHAPE,
    y: Sequence[int | str] | None = ("a", "b", "c", "d"),
    opset: int = 17,
    functions: Sequence[onnx.FunctionProto] = (),
    **weights: Weight,
) -> onnx.ModelProto:
    """A model from ``x`` to ``y``; lists are weights of int64."""
    graph = make_graph(
        list(nodes),
        "g",
        [make_tensor_value_info("x", FLOAT, x)],
        [make_tensor_value_info("y", FLOAT, y)],
        [numpy_helper.from_array(np.asarray(weight), name) for name, weight in weights.items()],
    )
    return make_model(
        graph, opset_imports=[make_opsetid("", opset), make_opsetid("d", 1)], ir_version=8, functions=list(functions)
    )


def summed(*nodes: onnx.NodeProto, **weights: Weight) -> onnx.ModelProto:
    """The sum of what ``nodes`` compute, as ``r``, added to the input."""
    last = (make_node("ReduceSum", ["r"], ["e"], keepdims=0), make_node("Add", ["x", "e"], ["y"]))
    return model(*nodes, *last, **weights)


def integers(op: str, first: int, second: int) -> onnx.ModelProto:
    """What ``op`` makes of two constants of int32."""
    return summed(
        make_node(op, ["a", "b"], ["c"]),
        make_node("Cast", ["c"], ["r"], to=FLOAT),
        a=np.array([first], np.int32),
        b=np.array([second], np.int32),
    )


def divided(op: str) -> onnx.ModelProto:
    """The input, as integers, divided by 0."""
    return model(
        make_node("Cast", ["x"], ["i"], to=INT32),
        make_node(op, ["i", "zero"], ["c"]),
        make_node("Cast", ["c"], ["y"], to=FLOAT),
        zero=np.array([0], np.int32),
    )


def body(*nodes: onnx.NodeProto, state: bool = True, suffix: str = "") -> onnx.GraphProto:
    """The body of a Loop that goes on as long as it is told to; ``v`` becomes ``v2``."""
    inputs = [make_tensor_value_info("i" + suffix, INT64, []), make_tensor_value_info("c" + suffix, BOOL, [])]
    values = [make_tensor_value_info("v" + suffix, FLOAT, None)] if state else []
    outputs = [
        make_tensor_value_info("c2" + suffix, BOOL, []),
        make_tensor_value_info("v2" + suffix, FLOAT, None if state else [1000]),
    ]
    goes_on = make_node("Identity", ["c" + suffix], ["c2" + suffix])
    ones = numpy_helper.from_array(np.ones(() if state else 1000, np.float32), "one")
    return make_graph([goes_on, *nodes], "body" + suffix, [*inputs, *values], outputs, [ones])


COUNTS = body(make_node("Add", ["v", "one"], ["v2"]))
STACKS = body(make_node("Identity", ["one"], ["v2"]), state=False)
NESTED = body(make_node("Loop", ["n", "t", "v_"], ["v2_"], body=COUNTS, name="inner"), suffix="_")


def loop(times: int | None, inside: onnx.GraphProto, *state: str) -> onnx.ModelProto:
    weights: dict[str, Weight] = {"t": np.array(True), "z": np.float32(0)}
    if times is not None:
        weights["n"] = np.int64(times)
    return summed(make_node("Loop", ["n" if times is not None else "", "t", *state], ["r"], body=inside), **weights)


def function(name: str, *called: str) -> onnx.FunctionProto:
    """A function that calls others one after another."""
    nodes = [make_node(each, [f"v{at}"], [f"v{at + 1}"], domain="d") for at, each in enumerate(called)]
    opsets = [make_opsetid("", 17), make_opsetid("d", 1)]
    last = make_node("Relu", [f"v{len(nodes)}"], ["out"])
    return make_function("d", name, ["v0"], ["out"], [*nodes, last], opsets)


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    return model(make_node(functions[0].name, ["x"], ["y"], domain="d"), y=SHAPE, functions=functions)


def nested_ifs(depth: int) -> onnx.ModelProto:
    def branch(inner: onnx.NodeProto) -> onnx.GraphProto:
        return make_graph([inner], "branch", [], [make_tensor_value_info("z", FLOAT, None)])

    plain = branch(make_node("Relu", ["x"], ["z"]))
    inside = plain
    for _ in range(depth):
        inside = branch(make_node("If", ["t"], ["z"], then_branch=inside, else_branch=plain))
    return model(make_node("If", ["t"], ["y"], then_branch=inside, else_branch=plain), t=np.array(True))


def of_attribute(op: str, *, x: Sequence[int] = SHAPE, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    kernel = KERNEL.transpose(1, 0, 2, 3) if op == "ConvTranspose" else KERNEL
    takes_kernel = op.startswith("Conv")
    node = make_node(op, ["x", "w"] if takes_kernel else ["x"], ["y"], name="bad", **attributes)
    weights: dict[str, Weight] = {"w": kernel} if takes_kernel else {}
    return model(node, x=x, opset=opset, **weights)


DIVISORS: Mapping[str, onnx.ModelProto] = {
    "stride of Conv": of_attribute("Conv", strides=[0, 0]),
    "negative stride of Conv": of_attribute("Conv", strides=[-1, 1]),
    "dilation of Conv": of_attribute("Conv", dilations=[0, 0]),
    "group of Conv": of_attribute("Conv", group=0),
    "stride of ConvTranspose": of_attribute("ConvTranspose", strides=[0, 1]),
    "stride of MaxPool": of_attribute("MaxPool", kernel_shape=[2, 2], strides=[0, 0]),
    "kernel of AveragePool": of_attribute("AveragePool", kernel_shape=[0, 0]),
    "block of DepthToSpace": of_attribute("DepthToSpace", blocksize=0),
    "block of SpaceToDepth": of_attribute("SpaceToDepth", blocksize=0),
    "size of LRN": of_attribute("LRN", size=0),
    "outputs of Split": of_attribute("Split", num_outputs=0, axis=1, opset=18),
    "hidden size of LSTM": model(
        make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=0),
        x=[4, 1, 8],
        w=np.zeros((1, 0, 8), np.float32),
        r=np.zeros((1, 0, 0), np.float32),
    ),
}
GROWTH: Mapping[str, onnx.ModelProto] = {
    "ConstantOfShape": summed(make_node("ConstantOfShape", ["s"], ["r"]), s=[10**9]),
    "Range": summed(
        make_node("Range", ["a", "b", "c"], ["q"]),
        make_node("Cast", ["q"], ["r"], to=FLOAT),
        a=np.int64(0),
        b=np.int64(10**9),
        c=np.int64(1),
    ),
    "Expand": summed(
        make_node("Expand", ["a", "s"], ["q"]),
        make_node("Exp", ["q"], ["r"]),
        a=np.ones(1, np.float32),
        s=[1000, 1000, 1000],
    ),
    "Tile": summed(make_node("Tile", ["a", "s"], ["r"]), a=np.ones(1, np.float32), s=[10**9]),
    "Pad": summed(make_node("Pad", ["a", "s"], ["r"]), a=np.ones(1, np.float32), s=[0, 10**9]),
    "OneHot": summed(
        make_node("OneHot", ["i", "d", "v"], ["r"]), i=[1], d=np.int64(10**9), v=np.array([0, 1], np.float32)
    ),
    "RandomNormal": summed(make_node("RandomNormal", [], ["r"], shape=[10**9])),
    "Concat, thirty times twice": summed(
        *(make_node("Concat", [f"a{at}", f"a{at}"], [f"a{at + 1}"], axis=0) for at in range(30)),
        make_node("Identity", ["a30"], ["r"]),
        a0=np.ones(1, np.float32),
    ),
    "Concat of sizes": model(
        make_node("Shape", ["x"], ["a0"]),
        *(make_node("Concat", [f"a{at}", f"a{at}"], [f"a{at + 1}"], axis=0) for at in range(28)),
        make_node("Cast", ["a28"], ["f"], to=FLOAT),
        make_node("ReduceSum", ["f"], ["e"], keepdims=0),
        make_node("Add", ["x", "e"], ["y"]),
    ),
    "MatMul": summed(
        make_node("MatMul", ["a", "b"], ["r"]), a=np.ones((30_000, 1), np.float32), b=np.ones((1, 30_000), np.float32)
    ),
    "Resize": summed(
        make_node("Resize", ["a", "", "s"], ["r"]),
        a=np.ones((1, 1, 10, 10), np.float32),
        s=np.array([1, 1, 3000, 3000], np.float32),
    ),
}
ENDLESS: Mapping[str, onnx.ModelProto] = {
    "Loop of 10^9": loop(10**9, COUNTS, "x"),
    "constant Loop of 10^9": loop(10**9, COUNTS, "z"),
    "Loop in a Loop": loop(10**5, NESTED, "x"),
    "Loop without end": loop(None, COUNTS, "x"),
    "calls": calling(*(function(f"f{at}", f"f{at + 1}", f"f{at + 1}") for at in range(29)), function("f29")),
}
REFUSED: Mapping[str, onnx.ModelProto] = {
    **{f"0: {name}": each for name, each in DIVISORS.items()},
    **{f"growth: {name}": each for name, each in GROWTH.items()},
    **{f"endless: {name}": each for name, each in ENDLESS.items()},
}
"""What is known to be wrong before native code sees it."""

HOSTILE: Mapping[str, onnx.ModelProto] = {
    **REFUSED,
    "constant division by 0": integers("Div", 4, 0),
    "constant remainder of 0": integers("Mod", 4, 0),
    "division that overflows": integers("Div", -(2**31), -1),
    "division by 0": divided("Div"),
    "remainder of 0": divided("Mod"),
    "large padding": of_attribute("Conv", pads=[2**30] * 4),
    "large dilation": of_attribute("Conv", dilations=[2**30] * 2, pads=[2**31] * 4),
    "large stride": of_attribute("ConvTranspose", strides=[2**20] * 2),
    "large Pad": model(make_node("Pad", ["x", "p"], ["y"]), p=[0] * 6 + [30_000] * 2),
    "large Tile": model(make_node("Tile", ["x", "p"], ["y"]), p=[1, 1, 3000, 3000]),
    "large Resize": model(make_node("Resize", ["x", "", "s"], ["y"]), s=np.array([1, 1, 3000, 3000], np.float32)),
    "Resize to nothing": model(make_node("Resize", ["x", "", "s"], ["y"]), s=np.array([1, 1, 0, 0], np.float32)),
    "Resize by infinity": model(
        make_node("Resize", ["x", "", "s"], ["y"]), s=np.array([1, 1, np.nan, np.inf], np.float32)
    ),
    "product of gigabytes": model(
        make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        make_node("MatMul", ["x", "t"], ["m"]),
        make_node("ReduceSum", ["m"], ["y"], keepdims=0),
        x=[30_000, 1],
        y=[],
    ),
    "Einsum of gigabytes": model(
        make_node("Einsum", ["x", "x"], ["y"], equation="abcd,efgh->abcdefgh"), x=[1, 30, 80, 80], y=list("abcdefgh")
    ),
    "large DFT": model(make_node("DFT", ["x", "n"], ["y"], axis=1), x=[1, 128, 1], y=list("abc"), n=np.int64(10**9)),
    "STFT without steps": model(
        make_node("STFT", ["x", "s", "w"], ["y"]), x=[1, 128, 1], s=np.int64(0), w=np.ones(16, np.float32)
    ),
    "Loop that stacks gigabytes": loop(10**6, STACKS),
    "Slice without a step": model(make_node("Slice", ["x", "a", "b", "c", "d"], ["y"]), a=[0], b=[4], c=[1], d=[0]),
    "indices of MaxUnpool": model(
        make_node("MaxUnpool", ["x", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        i=np.full(SHAPE, 10**12, np.int64),
    ),
    "indices of RoiAlign": model(
        make_node("RoiAlign", ["x", "r", "i"], ["y"], output_height=1, output_width=1),
        r=np.zeros((1, 4), np.float32),
        i=[99],
    ),
    "scale of 0": model(
        make_node("QuantizeLinear", ["x", "s"], ["q"]),
        make_node("DequantizeLinear", ["q", "s"], ["y"]),
        s=np.float32(0),
    ),
    "no batch": model(make_node("Conv", ["x", "w"], ["y"]), x=[0, 3, 8, 8], w=KERNEL),
    "no filters": model(make_node("Conv", ["x", "w"], ["y"]), w=np.zeros((0, 3, 3, 3), np.float32)),
    "an empty kernel": model(make_node("Conv", ["x", "w"], ["y"]), w=np.zeros((4, 3, 0, 0), np.float32)),
    "functions that call themselves": calling(function("f", "g"), function("g", "f")),
    "nested branches": nested_ifs(22),
    "20,000 nodes": model(
        *(make_node("Relu", [f"v{at}" if at else "x"], [f"v{at + 1}"]) for at in range(20_000)),
        make_node("Relu", ["v20000"], ["y"]),
    ),
}


# --- to be mutated ---------------------------------------------------------------------------------------------------


def convolutions() -> ir.Model:
    """Convolutions, pools, a branch, and what an exporter writes around them."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return io.checked_copy(
        model(
            make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
            make_node("BatchNormalization", ["a", "s", "b", "b", "v"], ["n"]),
            make_node("Clip", ["n", "lo", "hi"], ["c"]),
            make_node("Resize", ["c", "", "up"], ["u"], mode="linear"),
            make_node("MaxPool", ["u"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            make_node("Concat", ["p", "c"], ["j"], axis=1),
            make_node("GlobalAveragePool", ["j"], ["g"]),
            make_node("Mul", ["j", "g"], ["m"]),
            make_node("Transpose", ["m"], ["y"], perm=[0, 2, 3, 1]),
            w=weights(4, 3, 3, 3),
            s=weights(4),
            b=weights(4),
            v=np.ones(4, np.float32),
            lo=np.float32(0),
            hi=np.float32(6),
            up=np.array([1, 1, 2, 2], np.float32),
        )
    )


def everything() -> ir.Model:
    """Operators of many families: shapes that are computed, products, slices, a loop, a branch, an LSTM, integers."""
    rng = np.random.default_rng(1)

    def weights(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    other = make_graph([make_node("Neg", ["k"], ["z"])], "other", [], [make_tensor_value_info("z", FLOAT, None)])
    same = make_graph([make_node("Abs", ["k"], ["z"])], "same", [], [make_tensor_value_info("z", FLOAT, None)])
    return io.checked_copy(
        model(
            make_node("Shape", ["x"], ["size"]),
            make_node("Gather", ["size", "first"], ["batch"]),
            make_node("Concat", ["batch", "rest"], ["flat"], axis=0),
            make_node("Reshape", ["x", "flat"], ["r"]),
            make_node("MatMul", ["r", "w"], ["h"]),
            make_node("Softmax", ["h"], ["s"], axis=-1),
            make_node("LSTM", ["s", "wl", "rl"], ["l"], hidden_size=4),
            make_node("Squeeze", ["l", "one"], ["q"]),
            make_node("Slice", ["q", "zero", "two", "one"], ["k0"]),
            make_node("QuantizeLinear", ["k0", "scale"], ["i8"]),
            make_node("DequantizeLinear", ["i8", "scale"], ["k"]),
            make_node("ReduceMax", ["k"], ["top"], keepdims=0),
            make_node("Greater", ["top", "half"], ["large"]),
            make_node("If", ["large"], ["f"], then_branch=same, else_branch=other),
            make_node("Loop", ["n", "t", "f"], ["y"], body=COUNTS),
            y=["a", "b", "c"],
            first=[0],
            rest=[3, 64],
            w=weights(64, 8),
            one=[1],
            zero=[0],
            two=[1],
            wl=weights(1, 16, 8),
            rl=weights(1, 16, 4),
            scale=np.float32(0.1),
            half=np.float32(0.5),
            n=np.int64(3),
            t=np.array(True),
        )
    )
