"""Executors of tasks: processes here, or the workers of a Dask cluster, with the interface of Python's executors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from layoutopt import __version__
from layoutopt.errors import CrashError, LayoutoptError, MissingExtraError, UsageError
from layoutopt.fleet.row import Row
from layoutopt.fleet.task import Task
from layoutopt.fleet.worker import Children, describe_worker, run_on_worker, run_task
from layoutopt.text import error_line

if TYPE_CHECKING:
    from distributed import Client

Submit: TypeAlias = "Callable[[Task], Future[Row]]"
Executor: TypeAlias = "AbstractContextManager[Submit]"

_TIMEOUT = 10
"""Seconds in which a scheduler must answer."""


@contextlib.contextmanager
def local_processes(jobs: int) -> Iterator[Submit]:
    """Yield a function that runs tasks on this machine, ``jobs`` at a time; their processes end if the block fails."""
    children = Children()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield lambda task: pool.submit(run_task, task, children)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.end()
            raise


@contextlib.contextmanager
def dask_cluster(address: str) -> Iterator[Submit]:
    """Yield a function that runs tasks on the workers of a Dask cluster, which see the same files.

    If the block fails, no more tasks are started.

    Args:
        address: of the scheduler, for example ``tcp://10.0.0.1:8786``.

    Raises:
        MissingExtraError: Dask is not installed.
        UsageError: no scheduler answers there, or its workers cannot do it.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError(
            "--dask: distributed is not installed", hint="Install it: pip install 'layoutopt[dask]'."
        ) from error
    try:
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"--dask {address}: no scheduler answers", hint="Start one with 'dask scheduler', and 'dask worker'."
        ) from error
    with client:
        _refuse_workers(address, client)
        with _executor(client) as submit:
            yield submit


def _refuse_workers(address: str, client: Client) -> None:
    """Refuse a cluster on which the models could not be optimized, before anything is started.

    Raises:
        UsageError: there is no worker, or one lacks layoutopt, has another version, or does not see this folder.
    """
    folder = str(Path.cwd())
    try:
        client.wait_for_workers(1, timeout=_TIMEOUT)
    except TimeoutError as error:
        raise UsageError(f"--dask {address}: there is no worker", hint=f"Start one: dask worker {address}.") from error
    wrong = []
    for worker, found in client.run(describe_worker, folder, on_error="return").items():
        if isinstance(found, BaseException):
            wrong.append(f"{worker} cannot run layoutopt ({error_line(found)})")
        elif found[0] != __version__:
            wrong.append(f"{worker} has layoutopt {found[0]}, and this is {__version__}")
        elif not found[1]:
            wrong.append(f"{worker} does not see {folder}")
    if wrong:
        hint = "Install the same version there, and share the folder under the same path."
        raise UsageError(f"--dask {address}: {'; '.join(sorted(wrong))}", hint=hint)


@contextlib.contextmanager
def _executor(client: Client) -> Iterator[Submit]:
    executor = client.get_executor()
    try:
        yield lambda task: executor.submit(run_on_worker, task, key=task.key)
    finally:
        executor.shutdown(wait=False)


def finished_rows(tasks: Sequence[Task], submit: Submit) -> Iterator[Row]:
    """Run all tasks, and yield the row of each as it ends.

    Raises:
        LayoutoptError: nobody will run them any more.
    """
    futures = {submit(task): task for task in tasks}
    for future in as_completed(futures):
        task = futures.pop(future)
        try:
            row = future.result()
        except CancelledError as error:
            raise LayoutoptError(
                "the Dask scheduler has stopped, or has cancelled the tasks",
                hint="Run the same command again with --results: what is done is not done again.",
            ) from error
        except Exception as error:  # of the executor: its workers died of this task, or do not have our code
            why = f"on the worker: {error_line(error)}"
            row = Row(task.model, task.key, 0.0, None, why, exit_code=CrashError.exit_code)
        del future  # or Dask would keep the result, and do the task again where the worker that holds it dies
        yield row
