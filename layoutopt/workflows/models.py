"""Models as users give them: in a file or in memory; loaded, and asked whether they are to blame for an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.errors import InvalidModelError, LayoutoptError, PassFailedError, UsageError
from layoutopt.ir import io as modelio
from layoutopt.ir.protos import model_files
from layoutopt.ir.verify import Arrays, Reference, require_runnable

if TYPE_CHECKING:
    import onnx

    Model = Path | str | ir.Model | onnx.ModelProto


def source_of(model: Model) -> Path | None:
    """Return the file of a model; None where it is in memory."""
    return Path(model) if isinstance(model, str | Path) else None


def source_files(model: Model) -> list[Path]:
    """Return the files that a model is read from, with those of its weights."""
    path = source_of(model)
    return [] if path is None else model_files(path)


def load_model(model: Model, *, complete: bool = True) -> ir.Model:
    """Return the model, checked, to be changed at will.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        complete: whether all operators have to be known, as they have not where a part is taken.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is no ONNX model.
    """
    if isinstance(model, str | Path):
        return modelio.load(Path(model), complete=complete)
    return modelio.checked_copy(model, complete=complete)


def run_original(model: ir.Model, inputs: Arrays | None, shapes: Mapping[str, tuple[int, ...]], seed: int) -> Reference:
    """Return the outputs of the original in ONNX Runtime, whose inputs have ``shapes``.

    Raises:
        UsageError: it does not run at the shapes that were asked for.
        InvalidModelError: it does not run.
    """
    try:
        return Reference(model, seed=seed, inputs=inputs)
    except InvalidModelError as error:
        if not shapes:
            raise
        asked = " ".join(f"--shape {name}={','.join(map(str, shape))}" for name, shape in shapes.items())
        raise UsageError(
            f"{asked}: {error.message}", hint="Give the inputs sizes that the model can run at."
        ) from error


@contextmanager
def error_context(original: ir.Model) -> Iterator[None]:
    """Ask ONNX and ONNX Runtime whether the model is to blame if our own code fails.

    Raises:
        InvalidModelError: it is.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, LayoutoptError) or isinstance(error, PassFailedError):
            modelio.require_consistent(original)
            require_runnable(original)
        raise
