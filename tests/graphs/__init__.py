"""Hand-written graphs: everything that has ever tripped a layout pass, each as small as it can be."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs import bodies, normalization, operators, transposes, values
from tests.graphs.text import Text

GRAPHS: Mapping[str, Text] = {
    **operators.GRAPHS,
    **values.GRAPHS,
    **bodies.GRAPHS,
    **transposes.GRAPHS,
    **normalization.GRAPHS,
}
