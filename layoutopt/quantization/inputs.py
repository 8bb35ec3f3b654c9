"""The inputs of a model, and samples of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the original model.

    Attributes:
        name: there.
        shape: there, static.
        dtype: element type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
