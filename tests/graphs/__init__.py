"""Hand-written graphs: everything that has ever tripped a layout pass, each as small as it can be."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs import bodies, normalization, operators, transposes, values
from tests.graphs.text import AFTER as AFTER
from tests.graphs.text import BATCH_NORM as BATCH_NORM
from tests.graphs.text import CONV as CONV
from tests.graphs.text import GROUP_NORM as GROUP_NORM
from tests.graphs.text import GROUPED as GROUPED
from tests.graphs.text import NORMALIZE as NORMALIZE
from tests.graphs.text import W44 as W44
from tests.graphs.text import Text as Text
from tests.graphs.text import W as W
from tests.graphs.text import X as X
from tests.graphs.text import numbers as numbers

GRAPHS: Mapping[str, Text] = {
    **operators.GRAPHS,
    **values.GRAPHS,
    **bodies.GRAPHS,
    **transposes.GRAPHS,
    **normalization.GRAPHS,
}
