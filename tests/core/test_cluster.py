"""What is told of a cluster's nodes, and of workers that end again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from loguru import logger

from hourglass.core import cluster
from hourglass.core.errors import InputError


@pytest.fixture
def lines() -> Iterator[list[str]]:
    heard: list[str] = []
    number = logger.add(lambda line: heard.append(str(line)), format="{message}")
    yield heard
    logger.remove(number)


def alive(count: int, dead: int = 0) -> list[dict[str, Any]]:
    return [{"Alive": True}] * count + [{"Alive": False}] * dead


def test_nodes_are_counted_and_lost_ones_told(monkeypatch: pytest.MonkeyPatch, lines: list[str]):
    seen = iter([alive(3), alive(3), alive(1, 2), alive(1, 2), alive(2, 2)])
    monkeypatch.setattr(ray, "nodes", lambda: next(seen))
    nodes = cluster.Nodes()
    assert [nodes.look() for _ in range(4)] == [
        "on 3 nodes",
        "on 1 node",
        "on 1 node",
        "on 2 nodes",
    ]
    assert lines == ["2 nodes lost, 1 node left: what ran there runs again\n"]


def test_one_machine_alone_is_not_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "nodes", lambda: alive(1))
    assert cluster.Nodes().look() == ""


class Remote:
    """A function of Ray's whose tasks end at once."""

    def remote(self, *arguments: Any) -> Any:
        return arguments


def test_workers_that_end_again_and_again_are_a_line(monkeypatch: pytest.MonkeyPatch):
    def die(_: Any) -> None:
        raise ray.exceptions.WorkerCrashedError()

    monkeypatch.setattr(ray, "remote", lambda function: Remote())
    monkeypatch.setattr(ray, "wait", lambda pending, **_: (pending, []))
    monkeypatch.setattr(ray, "get", die)
    with pytest.raises(ValueError, match=r"^a worker of Ray ended again and again \("):
        list(cluster.in_parallel(print, [(1,)]))


# Ray on this machine.


class Node:
    """What Ray's `init` has made when its start fails."""

    ended = 0

    def start(self, error: Exception) -> None:
        raise error

    def kill_all_processes(self, *, check_alive: bool) -> None:
        Node.ended += 1


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """`failing(error, ...)`: so fail the next starts of Ray, no later ones; gives all options."""

    def fail(*errors: Exception) -> list[dict[str, Any]]:
        left, started = list(errors), []

        def init(**options: Any) -> str:
            started.append(options)
            if left:
                Node().start(left.pop(0))
            return "Ray"

        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", init)
        monkeypatch.setattr(Node, "ended", 0)
        return started

    return fail


LATE = "The current node timed out during startup. This could happen because of much."


def test_ray_is_started_again_where_the_machine_is_busy(
    failing: Callable[..., Any], lines: list[str]
):
    tried = failing(Exception(LATE), RuntimeError("Timed out waiting for file /tmp/ray/port"))
    assert cluster.started(None, 2) == "Ray"
    assert [(one["address"], one["num_cpus"]) for one in tried] == [("local", 2)] * 3
    again = "Ray did not start in time, as on a busy machine: starting it again\n"
    assert lines == [again] * 2
    assert Node.ended == 2


def test_a_ray_that_does_not_start_is_a_line(
    failing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_TMPDIR", "/short")
    tried = failing(*(Exception(LATE) for _ in range(cluster.STARTS)))
    told = r"^Ray does not start on this machine \(The current node timed out .*\); its own files "
    with pytest.raises(InputError, match=rf"{told}go to /short/ray, or where RAY_TMPDIR says$"):
        cluster.started(None, None)
    assert len(tried) == Node.ended == cluster.STARTS


def test_what_time_does_not_mend_is_not_tried_again(failing: Callable[..., Any]):
    tried = failing(OSError("AF_UNIX path length cannot exceed 107 bytes: /very/long"))
    with pytest.raises(InputError, match=r"^Ray does not start on this machine \(AF_UNIX path"):
        cluster.started(None, None)
    assert (len(tried), Node.ended) == (1, 1)
    failing(TypeError("a fault of the program"))
    with pytest.raises(TypeError):
        cluster.started(None, None)
