"""Finds the operators of a .tflite that a target would not run, and the parts into which they cut it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from layoutopt.errors import InvalidModelError
from layoutopt.files import require_file
from layoutopt.options import Target, choose
from layoutopt.results.check import CheckReport, Finding
from layoutopt.targets.rules import RuleTable, rule_table
from layoutopt.tfl.graph import Graph, Operation
from layoutopt.tfl.reader import DamagedFileError, read_tflite
from layoutopt.tfl.schema import OPERATOR_CODES

_MENDS = {
    "static": "optimize without --dynamic, and with --shape",
    "bias": "a bias of zeros",
    "constant": "weights, axes and sizes that are known when the model is exported",
    "not_the_batch": "a batch of 1, exported without it where the model allows",
    "batch_of_one": "a batch of 1",
    "innermost_axes": "a batch of 1, and RESHAPE to three axes",
    "max_rank": "RESHAPE to fewer axes before it, and back after it",
    "activations": "the activation as an operator of its own",
}
"""The fixes of an operation that does not meet a condition, unless the rules of the target say one."""


def check_tflite(file: Path | str, target: Target | str) -> CheckReport:
    """Check the main graph of a .tflite file, with its bodies, against the rules of a target.

    Args:
        file: by any converter.
        target: a `Target`, or its value.

    Raises:
        UsageError: there is no such target.
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is no .tflite file, or a damaged one.
    """
    path, chosen = Path(file), choose(Target, target, "target")
    require_file(path)
    try:
        graph = read_tflite(path).graph
    except (OSError, DamagedFileError) as error:
        raise InvalidModelError(f"{path}: {error}.") from error
    return check_graph(graph, chosen, path)


def check_graph(graph: Graph, target: Target, file: Path) -> CheckReport:
    """Check a graph against the rules of a target.

    Args:
        graph: the main graph of a file, as `layoutopt.tfl.reader.read_tflite` reads it.
        target: which.
        file: that it was read from.
    """
    table, every = rule_table(target), list(graph.all_operations())
    findings = [
        finding
        for position, operation in enumerate(every)
        if (finding := _finding(table, position, operation)) is not None
    ]
    refused = {every[finding.position] for finding in findings if finding.certain}
    parts = [len(part) for part in partitions(graph, refused)]
    run = parts[:1] if table.first_partition_only else sorted(parts, reverse=True)[: table.max_partitions]
    return CheckReport(
        file=file,
        target=target,
        title=table.title,
        source=table.source,
        date=table.date.isoformat(),
        rest=table.rest,
        operators=len(every),
        taken=len(every) - len(refused),
        partitions=len(parts),
        run=sum(run),
        findings=tuple(findings),
    )


def partitions(graph: Graph, refused: Iterable[Operation]) -> list[list[Operation]]:
    """Return the parts of a graph that a delegate gets from LiteRT, each as large as the dependences allow.

    Parts that are taken and parts that are not take turns; each grows by all operations of its kind whose operands are
    there, until there are none. This is what `PartitionGraphIntoIndependentNodeSubsets` of LiteRT does.

    Args:
        graph: to be cut.
        refused: its operations that are not taken.
    """
    left, known, out = list(graph.operations), set(graph.inputs), set(refused)
    parts: list[list[Operation]] = []
    while left:
        kind: bool | None = None
        part: list[Operation] = []
        while ready := [
            each for each in left if kind in (None, each not in out) and all(_is_there(x, known) for x in each.operands)
        ]:
            kind = ready[0] not in out if kind is None else kind
            taken = [each for each in ready if (each not in out) == kind]
            part += taken
            known.update(result for each in taken for result in each.results)
            left = [each for each in left if each not in taken]
        if not part:  # a damaged file, in which operations wait for each other
            break
        if kind:
            parts.append(part)
    return parts


def _is_there(value: Any, known: set[Any]) -> bool:
    return value is None or value.is_constant or value in known or value.producer is None


def _finding(table: RuleTable, position: int, operation: Operation) -> Finding | None:
    rule, code = table.rules.get(operation.code), operation.code
    if rule is None:
        why = "is not an operator that it has" if code in OPERATOR_CODES else "is a custom operator"
        mends = [table.missing[code]] if code in table.missing else []
        return _finding_of(position, operation, [why], mends)
    unmet = rule.unmet(operation)
    if unmet:
        known = {**_MENDS, **table.mends}
        mends = [known[name] for name in unmet if name in known]
        own = [rule.mend] if rule.mend and not rule.own.isdisjoint(unmet) else []
        return _finding_of(position, operation, list(unmet.values()), own or mends)
    return _finding_of(position, operation, [rule.uncertain], [], certain=False) if rule.uncertain else None


def _finding_of(
    position: int, operation: Operation, reasons: Sequence[str], mends: Sequence[str], *, certain: bool = True
) -> Finding:
    tensor = operation.results[0].name if operation.results else ""
    return Finding(position, operation.code, tensor, tuple(reasons), tuple(dict.fromkeys(mends)), certain)
