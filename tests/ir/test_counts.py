import onnx_ir as ir
import pytest

from layoutopt.ir.counts import (
    OTHER_MOVEMENT,
    PADS,
    RESHAPES,
    TRANSPOSES,
    Counts,
    count_onnx,
    moves_data,
    tally,
    transposed_bytes,
)

HEADER = '<ir_version: 10, opset_import: ["": 18, "layoutopt.nhwc": 1]>'


def parse(text: str) -> ir.Model:
    return ir.from_onnx_text(f"{HEADER}\n{text}")


def transpose(operand: str, result: str, perm: str = "<perm = [0, 2, 3, 1]>") -> Counts:
    return count_onnx(parse(f"g ({operand} x) => ({result} y) {{ y = Transpose {perm} (x) }}"))


def test_every_kind_is_counted() -> None:
    model = parse(
        """
        g (float[1,2,4,4] x, int64[4] shape, int64[8] pads) => (float[1,2,8,8] y) {
            one = Constant <value = float[1] {1.0}> ()
            t = Transpose <perm = [0, 2, 3, 1]> (x)
            u = Transpose <perm = [0, 3, 1, 2]> (t)
            p = Pad (u, pads)
            r = Reshape (p, shape)
            a, b = Split <axis = 1, num_outputs = 2> (r)
            c = Concat <axis = 1> (a, b)
            y = Mul (c, one)
        }
        """
    )
    counts = count_onnx(model)
    assert (counts.operators, counts.transposes, counts.pads, counts.reshapes) == (7, 2, 1, 1)
    assert counts.other_movement == 2
    assert list(counts.histogram.items()) == [
        ("Transpose", 2),
        ("Concat", 1),
        ("Mul", 1),
        ("Pad", 1),
        ("Reshape", 1),
        ("Split", 1),
    ]


def test_a_graph_of_nothing() -> None:
    assert count_onnx(parse("g (float[1] x) => (float[1] x) {}")) == Counts(0, 0, 0, 0, 0, 0, {})


def test_counts_can_be_hashed() -> None:
    assert len({tally(["Add"], bytes_moved=0), tally(["Add"], bytes_moved=0)}) == 1


def test_no_operator_is_of_two_kinds() -> None:
    kinds = (*TRANSPOSES, *PADS, *RESHAPES, *OTHER_MOVEMENT)
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("operand", "result", "expected"),
    [
        ("float[1,2,3,4]", "float[1,3,4,2]", 96),
        ("float16[1,2,3,4]", "float16[1,3,4,2]", 48),
        ("uint4[1,3,1,3]", "uint4[1,1,3,3]", 5),
        ("float[1,8,1,1]", "float[1,1,1,8]", 0),
        ("float[1,1,3,4]", "float[1,3,4,1]", 0),
        ("float[2,8,1,1]", "float[2,1,1,8]", 0),
        ("float[1,8,1,4]", "float[1,1,4,8]", 128),
        ("float[N,2,3,4]", "float[N,3,4,2]", 96),
        ("float[N,1,3,4]", "float[N,3,4,1]", 0),
        ("float[1,2,3,4]", "float[a,b,c,d]", 96),
        ("float[a,b,c,d]", "float[1,3,4,2]", 96),
        ("float[0,2,3,4]", "float[0,3,4,2]", 0),
        ("float[1,2,3,4]", "float", 96),
        ("float", "float", 0),
        ("string[1,2,3,4]", "string[1,3,4,2]", 0),
    ],
)
def test_bytes_of_a_transpose(operand: str, result: str, expected: int) -> None:
    model = parse(f"g ({operand} x) => ({result} y) {{ y = Transpose <perm = [0, 2, 3, 1]> (x) }}")
    # The text format cannot tell a scalar from an unknown rank.
    for value, text in ((model.graph.inputs[0], operand), (model.graph.outputs[0], result)):
        if "[" not in text:
            value.shape = None
    counts = count_onnx(model)
    assert counts.transposes == 1
    assert counts.bytes_moved == expected


def test_a_transpose_without_perm_reverses() -> None:
    assert transpose("float[2,3]", "float[3,2]", perm="").bytes_moved == 24
    assert transpose("float[1,3]", "float[3,1]", perm="").bytes_moved == 0


def test_identity_permutation_moves_nothing() -> None:
    assert transpose("float[2,3]", "float[2,3]", perm="<perm = [0, 1]>").bytes_moved == 0


def test_shape_of_the_result_may_be_missing() -> None:
    model = parse(
        """
        g (float[1,2,3,4] x) => (float[1,2,3,4] y) {
            t = Transpose <perm = [0, 2, 3, 1]> (x)
            y = Transpose <perm = [0, 3, 1, 2]> (t)
        }
        """
    )
    assert model.graph.node(0).outputs[0].shape is None
    assert count_onnx(model).bytes_moved == 2 * 96


def test_bodies_of_control_flow_count_once_each() -> None:
    model = parse(
        """
        g (bool c, float[2,3] x) => (float[3,2] y) {
            y = If (c) <
                then_branch = a () => (float[3,2] s) { s = Transpose <perm = [1, 0]> (x) },
                else_branch = b () => (float[3,2] t) { u = Relu (x)
                                                       t = Transpose <perm = [1, 0]> (u) }
            >
        }
        """
    )
    counts = count_onnx(model)
    assert counts.histogram == {"Transpose": 2, "If": 1, "Relu": 1}
    assert counts.operators == 4
    assert counts.transposes == 2


def test_functions_are_definitions_and_domains_are_named() -> None:
    model = parse(
        """
        g (float[1,4,4,2] x, float[2,2,1,1] w) => (float[1,4,4,2] y) {
            y = layoutopt.nhwc.Conv2D (x, w)
        }
        <domain: "layoutopt.nhwc", opset_import: ["": 18]>
        Conv2D (x, w) => (y) {
            a = Transpose <perm = [0, 3, 1, 2]> (x)
            b = Conv (a, w)
            y = Transpose <perm = [0, 2, 3, 1]> (b)
        }
        """
    )
    counts = count_onnx(model)
    assert counts.histogram == {"layoutopt.nhwc::Conv2D": 1}
    assert (counts.operators, counts.transposes, counts.bytes_moved) == (1, 0, 0)


def test_an_operator_of_another_domain_is_not_the_standard_one() -> None:
    model = parse("g (float[2,3] x) => (float[3,2] y) { y = layoutopt.nhwc.Transpose <perm = [1, 0]> (x) }")
    assert (count_onnx(model).transposes, count_onnx(model).bytes_moved) == (0, 0)


@pytest.mark.parametrize(
    ("shape", "perm", "moves"),
    [
        ((3, 2), (1, 0), True),
        ((1, 2), (1, 0), False),
        ((None, 2), (1, 0), True),
        ((1, None), (1, 0), False),
        ((2, 1, 3), (0, 2, 1), False),
        ((), (), False),
    ],
)
def test_moves_data(shape: tuple[int | None, ...], perm: tuple[int, ...], moves: bool) -> None:
    assert moves_data(shape, perm) is moves
    assert (transposed_bytes(shape, perm, bits=8) > 0) is moves
