"""Ray: this machine's cores, or a running cluster; tasks in parallel, and what is lost meanwhile.

Every machine of a cluster has the project installed and sees the same folders.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from loguru import logger

from hourglass.core.errors import InputError

CONNECT_SECONDS = 10.0
OBJECT_STORE = 256 * 2**20
"""Bytes of shared memory: tasks get names and labels, and read pictures themselves."""

STARTS = 3
"""How often Ray is started on this machine: it gives itself 30 s, too few for a busy one."""

ROOM = 8 * 2**20
"""Bytes that must be free for Ray's own files; a build's take about one million."""

Result = TypeVar("Result")


def started(address: str | None, workers: int | None) -> Any:
    """Ray as a context: what the calling program has started, this machine, or a cluster.

    Args:
        address: A running cluster's; default: this machine.
        workers: Processes on this machine; default: one per core.

    Raises:
        ValueError: If no cluster answers, workers are asked of one or of a Ray that runs, or Ray
            has no room for its own files or does not start.
    """
    if address and workers:
        raise InputError(
            f"{workers} workers cannot be asked of the cluster at {address!r}, which has its own; "
            "give workers or a Ray address, not both"
        )
    # Ray reads these when it is imported or starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if not address and ray.is_initialized():
        if workers:
            raise InputError(
                f"{workers} workers cannot be asked of the Ray that this program has started; give "
                "its number of processes to ray.init"
            )
        return contextlib.nullcontext()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with _keeping_sigterm():
        return _joined(address, quiet) if address else _started_here(workers, quiet)


def _joined(address: str, quiet: dict[str, Any]) -> Any:
    import ray

    try:
        _require_answer(address)
        return ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"no Ray cluster answers at {address!r} ({error})") from error


def _started_here(workers: int | None, quiet: dict[str, Any]) -> Any:
    import ray

    quiet |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    _require_room()
    for left in reversed(range(STARTS)):
        try:
            return ray.init(address="local", **quiet)
        except Exception as error:  # Ray's own word that it took too long has no kind of its own
            late = "timed out" in str(error).lower()
            if not late and not isinstance(error, OSError | RuntimeError | ValueError):
                raise
            _end_half_started(error)
            if not late or not left:
                told = f"Ray does not start on this machine ({_first(error)}); its own files go to "
                told += f"{_own_files()}, or where RAY_TMPDIR says"
                raise InputError(told) from error
            logger.warning("Ray did not start in time, as on a busy machine: starting it again")


def _own_files() -> Path:
    """Where Ray writes its logs and sockets."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray"


def _require_room() -> None:
    """Fails at once where Ray itself would try for half a minute, and not say why.

    Raises:
        ValueError: If the disk of Ray's own files is full.
    """
    folder = _own_files()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if (free := shutil.disk_usage(there).free) < ROOM:
        raise InputError(
            f"{folder}: No space left on device for Ray's own files ({free / 2**20:.1f} MB are "
            f"free, {ROOM / 2**20:.0f} are needed); RAY_TMPDIR names another folder"
        )


def _end_half_started(error: Exception) -> None:
    """Ends the processes of a start that failed; Ray itself does so when this process ends."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self")
        if hasattr(node, "kill_all_processes"):
            node.kill_all_processes(check_alive=False)


@contextlib.contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Ray puts a handler of its own in the place of the program's, which ends it at once."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _require_answer(address: str) -> None:
    """Fails at once where nobody listens; Ray itself would go on trying for minutes.

    Raises:
        ConnectionError: If nobody does.
        ValueError: If the address has a port that is no number.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        try:
            socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS).close()
        except OSError as error:
            raise ConnectionError(str(error)) from error


def in_parallel(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]]
) -> Iterator[list[Result]]:
    """Runs one Ray task per entry, begun in this order; yields all results that are there.

    What ran on a machine that died runs again on another.

    Raises:
        ValueError: If a task's process dies time after time.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    remote = ray.remote(function)
    pending = [remote.remote(*arguments) for arguments in tasks]
    while pending:
        ray.wait(pending, num_returns=1)
        done, pending = ray.wait(pending, num_returns=len(pending), timeout=0)
        try:
            results = ray.get(done)
        except RayTaskError:
            raise  # of the function itself
        except RayError as error:
            raise InputError(f"a worker of Ray ended again and again ({_first(error)})") from error
        yield results


def count_nodes() -> int:
    """Machines of the cluster that are alive."""
    import ray

    return sum(node["Alive"] for node in ray.nodes())


def describe_nodes(count: int) -> str:
    """Such as "2 nodes"."""
    return f"{count} node{'s' if count != 1 else ''}"


class Nodes:
    """Watches how many machines of the cluster are alive while it works."""

    def __init__(self) -> None:
        self._last = self._most = count_nodes()

    def look(self) -> str:
        """Such as "on 2 nodes", empty where there was never more than one; tells of lost ones."""
        now = count_nodes()
        if now < self._last:
            logger.warning(
                f"{describe_nodes(self._last - now)} lost, {describe_nodes(now)} left: what ran "
                "there runs again"
            )
        self._last, self._most = now, max(now, self._most)
        return f"on {describe_nodes(now)}" if self._most > 1 else ""


def _first(error: Exception) -> str:
    """The first line of what Ray says, which may be pages."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
