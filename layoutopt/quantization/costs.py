"""The time that an operator saves by computing with integers, and the cost of converting between both kinds.

Nanoseconds of one XNNPACK thread on an x86 processor with VNNI, fitted to measurements of single operators; only their
ratios matter. Where other processors differ most, the cautious side is taken: depthwise convolutions take twice as long
on integers here, and half as long on others, so they save next to nothing. A convolution of a picture, of three or four
channels, takes two to three times as long on integers with a kernel of 3x3, and as long as on floats with one of 7x7.
"""

from __future__ import annotations

from math import prod

from layoutopt.quantization.operators import positions
from layoutopt.tfl.graph import Operation, Value

_PRODUCT, _RESULT = 0.0135, 0.22
"""The saving of each product of a dense layer, and the extra cost of each of its results."""
_FEW_CHANNELS, _PICTURE = 4, 1.6
"""The channels up to which the operand of a convolution is a picture, and the extra cost of each result of it then."""
_ELEMENT = {"LOGISTIC": 0.18, "MAX_POOL_2D": 0.3}
"""The saving of each element of operators that gain by more than their bytes."""
_BYTES = 0.01
"""The saving of each element of all other operators."""
_CONVERSION, _CALL = 0.035, 500.0
"""The cost of QUANTIZE or DEQUANTIZE for each element, and by itself."""


def saving(operation: Operation) -> float:
    """Return what an operator saves by computing with integers; negative where it costs more."""
    elements = sum(result.count for result in operation.results)
    where = positions(operation)
    if where is None or operation.code == "DEPTHWISE_CONV_2D":
        return elements * _ELEMENT.get(operation.code, _BYTES)
    weights = operation[where.weights].sizes
    picture = operation.code == "CONV_2D" and weights[3] <= _FEW_CHANNELS and weights[1:3] != (1, 1)
    return elements * (_PRODUCT * prod(weights) / weights[where.axis] - _RESULT - _PICTURE * picture)


def conversion(value: Value) -> float:
    """Return what rounding a value to integers costs, or making floats of it."""
    return _CONVERSION * value.count + _CALL
