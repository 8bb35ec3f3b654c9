"""ONNX names may hold any character; names of TensorFlow's arguments may not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx


def identifiers(names: Sequence[str]) -> list[str]:
    """Return names that TensorFlow takes for arguments: one per ONNX name, different for different names."""
    chosen: dict[str, str] = {}
    for name in names:
        if name in chosen:
            continue
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = plain if plain[:1].isalpha() else f"x{plain}"
        candidate, count = plain, 1
        while candidate in chosen.values():
            count += 1
            candidate = f"{plain}_{count}"
        chosen[name] = candidate
    return [chosen[name] for name in names]


def scope_of(name: str) -> str:
    """Return a node's name in TensorFlow's alphabet, so that tensors in the .tflite tell where they come from."""
    scope = re.sub(r"[^A-Za-z0-9_./-]", "_", name).strip("/")
    return scope if scope[:1].isalnum() else f"node{scope}"


def rename(graph: onnx.GraphProto, table: Mapping[str, str]) -> None:
    """Rename values in place, in subgraphs too; a value that has one of the new names by chance makes way."""
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    full = {**{new: f"{new}__other" for new in table.values() if new in used and new not in table}, **table}
    _rename(graph, full)


def _rename(graph: onnx.GraphProto, table: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = table.get(value.name, value.name)
    for tensor in graph.initializer:
        tensor.name = table.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [table.get(name, name) for name in node.input]
        node.output[:] = [table.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for subgraph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _rename(subgraph, table)
