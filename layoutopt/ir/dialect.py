"""The NHWC dialect: model-local functions that name channels-last operators, and products with a transposed operand.

A function body is ``Transpose -> the ONNX operator -> Transpose``, so any runtime can load and run a model that uses
the dialect. The data operand and the results are channels-last; every other operand (weights, bias, scales, sizes) and
every attribute keep the form that the ONNX operator has.

``Gelu``, ``GeluTanh``, ``HardSwish`` and ``Mish`` are the activations of these names for opsets before ONNX had them.

``MatMulTransposed2D`` to ``5D`` are ``a @ b`` for a of shape (..., M, K) and b of shape (..., N, K): a MatMul that
reads the last two axes of b the other way round, as TFLite's BATCH_MATMUL can. ``MatMulLeftTransposed2D`` to ``5D`` do
so with a, of shape (..., K, M). Batches broadcast.

``LSTM``, ``GRU`` and ``RNN`` are those of ONNX for inputs and outputs that are stored in another order of their axes:
axis i of the stored tensor is axis ``input_order[i]`` of ONNX's X, or axis ``output_order[i]`` of its Y. The features
come last, and the input's other two axes in either order. States keep their form.

``DetectionPostprocess`` selects boxes as LiteRT's custom operator ``TFLite_Detection_PostProcess`` does: the boxes are
the anchors, and all encodings are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from math import pi, sqrt

import onnx
import onnx_ir as ir

from layoutopt.ir.perm import channels_last, invert
from layoutopt.ir.schemas import attribute_types

DOMAIN = "layoutopt.nhwc"


@dataclass(frozen=True, slots=True)
class DialectOperator:
    """One channels-last operator.

    Attributes:
        onnx: the ONNX operator that it runs, with the same operands and attributes.
        inputs: names of the operands; the first is the channels-last one. So is the one result.
        rank: of the first operand and the result.
    """

    onnx: str
    inputs: tuple[str, ...]
    rank: int

    @property
    def name(self) -> str:
        """Return its name in the domain ``layoutopt.nhwc``."""
        return f"{self.onnx}{self.rank - 2}D"


_PLANE, _ANY = (4,), (3, 4, 5)

OPERATORS: Mapping[str, Mapping[int, DialectOperator]] = {
    onnx_name: {rank: DialectOperator(onnx_name, inputs, rank) for rank in ranks}
    for onnx_name, inputs, ranks in (
        ("Conv", ("x", "w", "b"), _ANY),
        ("ConvTranspose", ("x", "w", "b"), _ANY),
        ("MaxPool", ("x",), _ANY),
        ("AveragePool", ("x",), _ANY),
        ("GlobalAveragePool", ("x",), _ANY),
        ("GlobalMaxPool", ("x",), _ANY),
        ("LpPool", ("x",), _ANY),
        ("GlobalLpPool", ("x",), _ANY),
        ("BatchNormalization", ("x", "scale", "b", "mean", "var"), _PLANE),
        ("LRN", ("x",), _PLANE),
        ("Resize", ("x", "roi", "scales", "sizes"), _ANY),
        ("Upsample", ("x", "scales"), _ANY),
        ("DepthToSpace", ("x",), _PLANE),
        ("SpaceToDepth", ("x",), _PLANE),
    )
}
"""The channels-last operators, by the ONNX operator that each stands for and by the rank of its operand."""


class Transposed(Enum):
    """The operand of a product whose last two axes are read the other way round."""

    LEFT = 0
    RIGHT = 1


MATMUL_TRANSPOSED: Mapping[tuple[Transposed, int], str] = {
    (operand, rank): f"{name}{rank}D"
    for operand, name in ((Transposed.RIGHT, "MatMulTransposed"), (Transposed.LEFT, "MatMulLeftTransposed"))
    for rank in range(2, 6)
}
"""The products with a transposed operand, by that operand and by the rank of both."""


def transposed_operand(operator: str) -> Transposed | None:
    """Return the operand that a product of the dialect reads transposed; None for other operators."""
    return next((operand for (operand, _), name in MATMUL_TRANSPOSED.items() if name == operator), None)


def function_for(operator: DialectOperator, opset: int) -> ir.Function:
    """Return the definition of one operator of the dialect.

    Args:
        operator: which.
        opset: version of the default domain that its body uses.

    Returns:
        A function with the operands and attributes of the ONNX operator, to be left out where ONNX lets them be.
    """
    last = channels_last(operator.rank)
    most = onnx.defs.get_schema(operator.onnx, opset).max_input  # Upsample had its scales as an attribute once
    inputs = [ir.val(name) for name in operator.inputs[:most]]
    natural = ir.node("Transpose", inputs[:1], {"perm": invert(last)})
    attributes = attribute_types(operator.onnx, opset)
    body = ir.Node(
        "",
        operator.onnx,
        [natural.outputs[0], *inputs[1:]],
        [ir.RefAttr(name, name, kind) for name, kind in attributes.items()],
    )
    result = ir.node("Transpose", body.outputs, {"perm": last})
    graph = ir.Graph(inputs, result.outputs, nodes=[natural, body, result], opset_imports={"": opset})
    declared = [ir.Attr(name, kind, None) for name, kind in attributes.items()]
    return ir.Function(DOMAIN, operator.name, graph=graph, attributes=declared)


def matmul_transposed(transposed: Transposed, rank: int, opset: int) -> ir.Function:
    """Return the definition of a product of two operands of ``rank``, one of them transposed."""
    operands = [ir.val("a"), ir.val("b")]
    swapped = ir.node("Transpose", [operands[transposed.value]], {"perm": (*range(rank - 2), rank - 1, rank - 2)})
    factors = [swapped.outputs[0] if each is transposed else operands[each.value] for each in Transposed]
    product = ir.node("MatMul", factors)
    graph = ir.Graph(operands, product.outputs, nodes=[swapped, product], opset_imports={"": opset})
    return ir.Function(DOMAIN, MATMUL_TRANSPOSED[transposed, rank], graph=graph, attributes=[])


RECURRENT: Mapping[str, tuple[str, ...]] = {
    "GRU": ("Y", "Y_h"),
    "LSTM": ("Y", "Y_h", "Y_c"),
    "RNN": ("Y", "Y_h"),
}
"""The recurrent operators, which have the names of ONNX's, and their results."""

_SEQUENCE_ORDER = {"input_order": (0, 1, 2), "output_order": (0, 1, 2, 3)}
_RECURRENT_INPUTS = ("x", "w", "r", "b", "sequence_lens", "initial_h", "initial_c", "p")


def recurrent(name: str, opset: int) -> ir.Function:
    """Return the definition of a recurrent operator, whose input is of time and batch in either order."""
    most = onnx.defs.get_schema(name, opset).max_input
    inputs = [ir.val(each) for each in _RECURRENT_INPUTS[:most]]
    # Two axes that change places do so again on the way back.
    natural = ir.Node("", "Transpose", inputs[:1], [_order("input_order")])
    attributes = {key: kind for key, kind in attribute_types(name, opset).items() if key != "layout"}
    results = [ir.val(each) for each in RECURRENT[name]]
    operands = [natural.outputs[0], *inputs[1:]]
    body = ir.Node(
        "", name, operands, [ir.RefAttr(key, key, kind) for key, kind in attributes.items()], outputs=results
    )
    stored = ir.Node("", "Transpose", results[:1], [_order("output_order")])
    outputs = [stored.outputs[0], *results[1:]]
    graph = ir.Graph(inputs, outputs, nodes=[natural, body, stored], opset_imports={"": opset})
    declared = [ir.Attr(key, kind, None) for key, kind in attributes.items()]
    declared += [ir.Attr(key, ir.AttributeType.INTS, order) for key, order in _SEQUENCE_ORDER.items()]
    return ir.Function(DOMAIN, name, graph=graph, attributes=declared)


def _order(name: str) -> ir.Attr:
    """Return the permutation of a Transpose as the attribute ``name`` of the function."""
    return ir.RefAttr("perm", name, ir.AttributeType.INTS)


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation that ONNX brought with some opset, and spelled out before.

    Attributes:
        onnx: the operator that ONNX has for it.
        since: the first opset that has it.
        attributes: of that operator.
        body: the nodes that compute ``y`` from ``x`` and numbers of its element type.
        numbers: by name.
    """

    onnx: str
    since: int
    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


_BY_ERF = "a = Div (x, root) e = Erf (a) s = Add (e, one) p = Mul (x, s) y = Mul (p, half)"
_BY_TANH = (
    "p = Mul (x, cubic) q = Mul (p, x) r = Add (q, one) a = Mul (x, slope) b = Mul (a, r) e = Tanh (b) "
    "s = Add (e, one) h = Mul (x, half) y = Mul (h, s)"
)
_HALVES = {"one": 1.0, "half": 0.5}

ACTIVATIONS: Mapping[str, Activation] = {
    "Gelu": Activation("Gelu", 20, _BY_ERF, {"approximate": "none"}, {**_HALVES, "root": sqrt(2)}),
    "GeluTanh": Activation(
        "Gelu", 20, _BY_TANH, {"approximate": "tanh"}, {**_HALVES, "slope": sqrt(2 / pi), "cubic": 0.044715}
    ),
    "HardSwish": Activation("HardSwish", 14, f"h = HardSigmoid <alpha = {1 / 6}, beta = 0.5> (x) y = Mul (x, h)"),
    "Mish": Activation("Mish", 18, "s = Softplus (x) t = Tanh (s) y = Mul (x, t)"),
}
"""By their names in the dialect."""


def activation(name: str, x: ir.Value, opset: int) -> ir.Node:
    """Return a node for an activation of ``x``: ONNX's where the opset has it, else the dialect's."""
    known = ACTIVATIONS[name]
    if opset >= known.since:
        return ir.node(known.onnx, [x], known.attributes)
    return ir.node(name, [x], {"dtype": int(x.dtype or ir.DataType.FLOAT)}, domain=DOMAIN)


def activation_function(name: str, opset: int) -> ir.Function:
    """Return the definition of an activation, whose attribute ``dtype`` tells the element type."""
    known = ACTIVATIONS[name]
    numbers = (
        f"{each}_32 = Constant <value = float {{{value}}}> () {each} = Cast <to : int = @dtype> ({each}_32)"
        for each, value in known.numbers.items()
    )
    header = f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]> {name} <dtype> (x) => (y)'
    proto = onnx.parser.parse_function(f"{header} {{ {' '.join(numbers)} {known.body} }}")
    return ir.serde.deserialize_function(proto)


DETECTION_POSTPROCESS = "DetectionPostprocess"
DETECTION_LIMITS = ("max_detections", "detections_per_class", "iou_threshold", "score_threshold", "num_classes")
"""Its operands after the boxes (1, boxes, 4), as y, x, height and width, and the scores (1, boxes, classes): each has
one element. Only scores above the threshold count. Only the last ``num_classes`` classes take part."""

_DETECTION_BODY = """
    at_0 = Constant<value = int64[1] {0}>() at_1 = Constant<value = int64[1] {1}>()
    at_2 = Constant<value = int64[1] {2}>() at_4 = Constant<value = int64[1] {4}>()
    least = Constant<value = float[1] {-3.4028234663852886e38}>() half = Constant<value = float {0.5}>()
    far = Constant<value = int64[1] {9223372036854775807}>() columns = Constant<value = int64[1] {3}>()
    centre = Slice(boxes, at_0, at_2, at_2) size = Slice(boxes, at_2, at_4, at_2)
    reach = Mul(size, half) low = Sub(centre, reach) high = Add(centre, reach)
    corners = Concat<axis = 2>(low, high)
    every_class = Transpose<perm = [0, 2, 1]>(scores)
    first_class = Neg(num_classes)
    by_class = Slice(every_class, first_class, far, at_1)
    kept = NonMaxSuppression(corners, by_class, detections_per_class, iou_threshold, score_threshold)
    kept_scores = GatherND(by_class, kept)
    no_scores = ConstantOfShape<value = float[1] {-3.4028234663852886e38}>(max_detections)
    no_rows_shape = Concat<axis = 0>(max_detections, columns)
    no_rows = ConstantOfShape<value = int64[1] {0}>(no_rows_shape)
    enough_scores = Concat<axis = 0>(kept_scores, no_scores)
    enough_rows = Concat<axis = 0>(kept, no_rows)
    best, order = TopK(enough_scores, max_detections)
    rows = Gather(enough_rows, order)
    is_detection = Greater(best, least)
    ones = Cast<to = 1>(is_detection)
    count = ReduceSum<keepdims = 1>(ones)
    class = Gather<axis = 1>(rows, at_1)
    box = Gather<axis = 1>(rows, at_2)
    shape_of_boxes = Constant<value = int64[3] {1, -1, 4}>() shape_of_rows = Constant<value = int64[2] {1, -1}>()
    shape_of_column = Constant<value = int64[2] {-1, 1}>() flat = Constant<value = int64[1] {-1}>()
    shape_of_table = Constant<value = int64[2] {-1, 4}>() zero = Constant<value = float {0.0}>()
    box_at = Reshape(box, flat)
    table = Reshape(corners, shape_of_table)
    found_boxes = Gather(table, box_at)
    column = Reshape(is_detection, shape_of_column)
    filled_boxes = Where(column, found_boxes, zero)
    filled_scores = Where(is_detection, best, zero)
    class_number = Cast<to = 1>(class)
    detection_boxes = Reshape(filled_boxes, shape_of_boxes)
    detection_classes = Reshape(class_number, shape_of_rows)
    detection_scores = Reshape(filled_scores, shape_of_rows)
    num_detections = Identity(count)
"""


def detection_postprocess(opset: int) -> ir.Function:
    """Return the definition of ``DetectionPostprocess``: the best boxes of all classes, each suppressed by itself.

    Args:
        opset: 11 or above.

    Returns:
        A function with the results of ``TFLite_Detection_PostProcess``: corners (1, rows, 4) as ymin, xmin, ymax and
        xmax, classes (1, rows), scores (1, rows) and how many rows are detections (1,); others are zeros.
    """
    operands = ", ".join(("boxes", "scores", *DETECTION_LIMITS))
    results = "detection_boxes, detection_classes, detection_scores, num_detections"
    header = f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]> {DETECTION_POSTPROCESS} ({operands}) => ({results})'
    return ir.serde.deserialize_function(onnx.parser.parse_function(f"{header} {{ {_DETECTION_BODY} }}"))


def define(model: ir.Model) -> None:
    """Add the definitions of the dialect operators that ``model`` uses, also in bodies, and does not define yet.

    Nodes that leave out their last operands have a definition without these, named by their number as its overload:
    inlined, the other one would hand an empty operand on, and ONNX Runtime has its fastest forms of Conv and Resize
    only for nodes without one.
    """
    opset, known = model.opset_imports[""], dict[tuple[str, int], ir.Function]()
    for node in model.graph.all_nodes():
        if node.domain != DOMAIN:
            continue
        count = max((at + 1 for at, value in enumerate(node.inputs) if value is not None), default=0)
        if (key := (node.op_type, count)) not in known:
            known[key] = _without_last(_DEFINITIONS[node.op_type](opset), count)
        function = known[key]
        node.resize_inputs(count)
        node.overload = function.overload
        if function.identifier() not in model.functions:
            model.functions[function.identifier()] = function
            model.opset_imports[DOMAIN] = 1
            model.ir_version = max(model.ir_version, _OVERLOADS if function.overload else _FUNCTIONS)


def _without_last(function: ir.Function, count: int) -> ir.Function:
    """Return ``function`` with its first ``count`` operands alone."""
    left_out = list(function.inputs[count:])
    for value in reversed(left_out):
        for use in value.uses():
            use.node.resize_inputs(use.idx)
    del function.inputs[count:]
    function.overload = str(count) if left_out else ""
    return function


_FUNCTIONS, _OVERLOADS = 8, 10
"""The IR versions since which a model may hold functions, and several of one name."""

_DEFINITIONS: Mapping[str, Callable[[int], ir.Function]] = {
    **{each.name: partial(function_for, each) for forms in OPERATORS.values() for each in forms.values()},
    **{name: partial(matmul_transposed, *key) for key, name in MATMUL_TRANSPOSED.items()},
    **{name: partial(activation_function, name) for name in ACTIVATIONS},
    **{name: partial(recurrent, name) for name in RECURRENT},
    DETECTION_POSTPROCESS: detection_postprocess,
}
"""The definition of each operator of the dialect, given the opset of the model."""
