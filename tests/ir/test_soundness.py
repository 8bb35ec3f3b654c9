from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from layoutopt.errors import InvalidModelError
from layoutopt.ir import io
from tests.hostile import COUNTS, REFUSED, calling, function, loop, of_attribute, summed

SOUND = {
    "strides of 2": of_attribute("Conv", strides=[2, 2]),
    "a Loop of 100,000": loop(10**5, COUNTS, "x"),
    "megabytes of constants": summed(make_node("ConstantOfShape", ["s"], ["r"]), s=[10**7]),
    "a weight that is turned": summed(make_node("Transpose", ["a"], ["r"]), a=np.ones((300, 300), np.float32)),
    "calls": calling(*(function(f"f{at}", f"f{at + 1}", f"f{at + 1}") for at in range(5)), function("f5")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_native_code_breaks_on_is_refused(name: str) -> None:
    with pytest.raises(InvalidModelError, match="the model: "):
        io.checked_copy(REFUSED[name])


@pytest.mark.parametrize("name", SOUND)
def test_what_it_does_not_break_on_is_taken(name: str) -> None:
    io.checked_copy(SOUND[name])


def test_a_loop_whose_condition_is_computed_is_taken() -> None:
    ends = onnx.GraphProto()
    ends.CopyFrom(COUNTS)
    ends.node[0].CopyFrom(make_node("Less", ["v", "one"], [ends.node[0].output[0]]))
    io.checked_copy(loop(None, ends, "z"))


def test_the_node_is_named() -> None:
    with pytest.raises(InvalidModelError, match=r"node 'bad' \(Conv\): strides of 0, which has to be at least 1"):
        io.checked_copy(of_attribute("Conv", strides=[1, 0]))
