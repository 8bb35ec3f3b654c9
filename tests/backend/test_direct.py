"""What the direct backend refuses is what LiteRT does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.trial import run_in_child
from layoutopt.errors import ConversionError, UnsupportedOperatorError

SHAPE = (1, 2, 1, 2, 1, 2, 3)
BODIES = {"CONCATENATION": "Concat<axis=6>(x, x)", "PAD": "Pad(x, p)"}


@pytest.mark.parametrize("operator", BODIES)
def test_what_no_kernel_takes_is_refused_before_it_is_written(
    operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = f"float[{','.join(map(str, SHAPE))}]"
    padding = f"<int64[14] p = {{{', '.join(['1'] * 14)}}}>"
    graph = f"g ({declared} x) => (float[a,b,c,d,e,f,h] y) {padding} {{ [joined] y = {BODIES[operator]} }}"
    model = ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}'))
    path = tmp_path / "model.tflite"
    with pytest.raises(UnsupportedOperatorError, match=f"joined: {operator} has no kernel for 7 axes, but for up to 6"):
        convert_directly(model, path)
    assert not path.exists()
    monkeypatch.setattr("layoutopt.backend.direct.convert.violations", lambda _: [])
    convert_directly(model, path)
    with pytest.raises(ConversionError):
        run_in_child(path, {"x": np.ones(SHAPE, np.float32)})
