"""What is told of a cluster's nodes, and of workers that end again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray
from loguru import logger

from hourglass.core import cluster


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
