"""What processes say: taken once, and logged where the job was started."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from loguru import logger

from hourglass.training import messages
from hourglass.training.messages import Messages, told_here


def test_messages_are_taken_once_and_the_first_failure_stays():
    messages = Messages()
    assert (messages.begin(), messages.begin(), messages.starts()) == (1, 2, 2)
    messages.say("INFO", "one")
    messages.say("WARNING", "two")
    assert messages.take() == [("INFO", "one"), ("WARNING", "two")]
    assert messages.take() == []
    assert messages.failure() == ""
    messages.fail("a damaged shard")
    messages.fail("another process that noticed")
    assert messages.failure() == "a damaged shard"


class LostError(Exception):
    """In the place of what Ray raises when a cluster is gone."""


@pytest.fixture
def ray_without_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `ray` whose actors are plain objects, and which waits for nothing."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda value: value))
    monkeypatch.setitem(sys.modules, "ray.exceptions", SimpleNamespace(RayError=LostError))
    monkeypatch.setattr(messages, "SECONDS_BETWEEN_LOOKS", 0.001)
    monkeypatch.setattr(messages, "SECONDS_UNTIL_TOLD", 0.0)


def handle_of(**methods: Callable[[], Any]) -> Any:
    """An actor's handle, as Ray gives it."""
    return SimpleNamespace(**{name: SimpleNamespace(remote=one) for name, one in methods.items()})


def test_what_is_said_is_logged_here(ray_without_cluster: None):
    said, lines = Messages(), []
    handler = logger.add(lambda line: lines.append(str(line)), format="{level} {message}")
    with told_here(handle_of(take=said.take, starts=said.starts), "A"):
        said.say("WARNING", "a shard is odd")
        while len(lines) < 2:
            time.sleep(0.001)
        said.say("INFO", "the last line")
    logger.remove(handler)
    waiting = "INFO waiting for free workers of the cluster at A\n"
    assert sorted(lines[:2]) == [waiting, "WARNING a shard is odd\n"]
    assert lines[2:] == ["INFO the last line\n"]


def test_a_cluster_that_is_gone_ends_nothing_here(ray_without_cluster: None):
    asked = []

    def lost() -> None:
        asked.append(1)
        raise LostError

    with told_here(handle_of(take=lost, starts=lost), "A"):
        while len(asked) < 5:
            time.sleep(0.001)
