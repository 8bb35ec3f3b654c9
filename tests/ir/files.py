"""Small models for the tests of files, as protos and in files."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

GRAPH = "g (float[1,3,4,4] x) => (float[1,3,4,4] y) { [first] t = Neg (x) [second] y = Relu (t) }"

DYNAMIC = "g (float[N,3,H,4] x, float[2] z) => (float[N,3,H,4] y) { t = Neg (x) y = Relu (t) }"


def proto_of(graph: str = GRAPH, *, imports: str = '"" : 17') -> onnx.ModelProto:
    return onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]>\n{graph}")


def model_of(graph: str = GRAPH) -> ir.Model:
    return ir.from_proto(proto_of(graph))


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def write(path: Path, proto: onnx.ModelProto) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path
