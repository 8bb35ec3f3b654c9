"""A Dask cluster of two workers in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        pids = {name: worker.pid for name, worker in cluster.workers.items()}
        print(cluster.scheduler_address, *pids.values(), flush=True)
        sys.stdin.read()
"""


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers.

    Attributes:
        process: of the scheduler, which ends the workers.
        address: of the scheduler.
        workers: their process ids.
        log: what all of them say.
    """

    process: subprocess.Popen[str]
    address: str
    workers: list[int]
    log: Path


@contextmanager
def local_cluster(folder: Path) -> Iterator[Cluster]:
    """Start one, with its files in a folder."""
    script, path = folder / "cluster.py", folder / "cluster.log"
    script.write_text(_SCRIPT)
    with (
        path.open("w") as log,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process,
    ):
        assert process.stdout is not None
        address, *pids = process.stdout.readline().split()
        yield Cluster(process, address, [int(pid) for pid in pids], path)
        process.kill()
