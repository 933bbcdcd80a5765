"""`serve` under load, on this machine alone: every answer is right or says to come again."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hourglass.inference.estimator import SHIPPED_LITERT

pytest.importorskip("starlette")
pytest.importorskip("ai_edge_litert")

CLIENTS, SECONDS, UPLOADS = 8, 60.0, 2000


def picture(number: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (120, 90, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


class Served:
    """A server in a process of its own."""

    def __init__(self, process: Any, port: int) -> None:
        self.process, self.port = process, port

    def post(self, data: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("POST", "/pose", data)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture
def served(command: Callable[..., Any], wait_until: Callable[..., None]) -> Served:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one = Served(command("hourglass.serve", "--model", SHIPPED_LITERT, "--port", port), port)

    def answers() -> bool:
        try:
            return one.post(picture(0))[0] == 200
        except OSError:
            return False

    wait_until(answers, one.process)
    return one


@pytest.mark.slow
def test_every_answer_under_load_is_right_or_says_to_come_again(
    served: Served, watch: Callable[..., Any]
):
    pictures = [picture(number) for number in range(CLIENTS)]
    expected = [served.post(data) for data in pictures]
    assert {status for status, _ in expected} == {200}
    seen, answers, end = watch(served.process), [], time.monotonic() + SECONDS
    seen.look()

    def ask(number: int) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            status, text = served.post(pictures[number])
            answers.append((status, time.monotonic() - began))
            assert (status, text) == expected[number] or status in (429, 503)

    failures: list[str] = []
    before = threading.excepthook
    threading.excepthook = lambda failed: failures.append(str(failed.exc_value))
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 200)
        seen.look()
    threading.excepthook = before
    assert failures == []
    times = np.array([seconds for status, seconds in answers if status == 200])
    percentiles = np.percentile(times, [50, 95, 99, 100]).round(3)
    print(f"{Counter(status for status, _ in answers)}; 50, 95, 99, 100 %: {percentiles} s")
    print(f"MB, files, children: {seen.seen[0]} at first, {seen.seen[-1]} at the end")
    assert len(times) > CLIENTS
    assert seen.seen[-1][0] - seen.seen[0][0] < 200
    assert seen.seen[-1][1] <= seen.seen[0][1] + CLIENTS


@pytest.mark.slow
def test_memory_stays_flat_over_two_thousand_uploads(served: Served, watch: Callable[..., Any]):
    seen, data = watch(served.process), [picture(number) for number in range(20)]
    for number in range(UPLOADS):
        status, _ = served.post(data[number % len(data)])
        assert status == 200
        if number % 20 == 0:
            seen.look()
    growth = seen.growth()
    print(f"{growth:.1f} MB over half of {UPLOADS} uploads; at its end {seen.seen[-2]}")
    assert growth <= 0.5 * UPLOADS / 100
    assert seen.seen[-1][1] <= seen.seen[len(seen.seen) // 2][1] + 2
    assert Path(f"/proc/{served.process.pid}").exists()


@pytest.mark.slow
def test_clients_that_go_away_leave_nothing_open(served: Served, watch: Callable[..., Any]):
    """Half an upload, and no more."""
    seen = watch(served.process)
    seen.look()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            head = "POST /pose HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
            client.sendall(head.encode() + bytes(1000))
    status, _ = served.post(picture(0))
    assert status == 200
    time.sleep(2)
    seen.look()
    assert seen.seen[-1][1] <= seen.seen[0][1] + 2
    served.process.terminate()
    output, _ = served.process.communicate(timeout=600)
    assert "Traceback" not in output, output
