"""The weights of a PyTorch module, handed to Keras layers one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Scope:
    """A PyTorch submodule: where a Keras layer finds its weights, and what it is called.

    Attributes:
        arrays: of the whole module by name, less those that were taken.
        name: of the submodule; empty for the module itself.
    """

    arrays: dict[str, Array]
    name: str = ""

    @classmethod
    def of(cls, module: nn.Module) -> Scope:
        """Return all of ``module``, without the counters of batches, which nothing computes with."""
        state = module.state_dict().items()
        return cls({name: tensor.numpy() for name, tensor in state if not name.endswith(".num_batches_tracked")})

    def __getitem__(self, child: str | int) -> Scope:
        """Return the submodule of that name."""
        return Scope(self.arrays, self._path(str(child)))

    def __contains__(self, name: str) -> bool:
        """Return whether the submodule has an array of that name, not taken yet."""
        return self._path(name) in self.arrays

    def children(self) -> Iterator[Scope]:
        """Yield those submodules of a sequence that have arrays, in order."""
        prefix = self._path("")
        names = {name.removeprefix(prefix).partition(".")[0] for name in self.arrays if name.startswith(prefix)}
        return iter([self[name] for name in sorted(names, key=int)])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return that of the array of that name, which is not taken."""
        return self.arrays[self._path(name)].shape

    def take(self, name: str) -> Array:
        """Return the array of that name, for the only time.

        Raises:
            KeyError: there is none, or no longer.
        """
        return self.arrays.pop(self._path(name))

    def take_all(self, *names: str) -> list[Array]:
        """Return those of the arrays that are there."""
        return [self.take(name) for name in names if name in self]

    def require_empty(self) -> None:
        """Require that everything was taken.

        Raises:
            ValueError: names the arrays that are left.
        """
        if self.arrays:
            raise ValueError(f"no layer has taken {', '.join(self.arrays)}")

    def _path(self, name: str) -> str:
        return f"{self.name}.{name}" if self.name else name
