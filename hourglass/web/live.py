"""A camera in the browser: its pictures come over a WebSocket, and the people in them go back.

One picture is under way at a time: a page sends the next when it has the answer to the last. How
large a picture is, how many cameras look at once, and which pages may ask are limited here.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import simplejpeg

from hourglass.core.errors import InputError
from hourglass.inference.detection import PeopleDetector
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.films import Everybody
from hourglass.media.pictures import MIN_SIDE
from hourglass.media.results import Found

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

LARGEST_FRAME = 2 * 2**20
"""Bytes of a picture: twenty times what the page sends."""

SOCKETS = {"ws_max_size": LARGEST_FRAME, "ws_per_message_deflate": False}
"""How uvicorn is to run: pictures that come too fast then wait on the page's side. Compressed, any
number of empty ones would fit into what is read at once."""

LONGEST_SIDE = 1920
"""Of a picture, px; the page sends up to 640."""

MOST_CAMERAS = 4
"""That look at once: they share one network."""

LONGEST_SILENCE = 30.0
"""Seconds after which a page that sends nothing gives its place to others."""

FOREIGN, NO_PICTURE, TOO_LARGE, FAILED, TOO_MANY, SILENT = 1008, 1003, 1009, 1011, 1013, 4008
"""Codes with which the WebSocket closes (RFC 6455, section 7.4)."""

MOST_REASON = 120
"""Letters of the reason for it."""


class RefusedFrameError(InputError):
    """A message that is not looked at, and ends the connection.

    Args:
        code: With which it closes.
        told: What is wrong.
    """

    def __init__(self, code: int, told: str) -> None:
        super().__init__(told)
        self.code = code


class Camera:
    """One camera's pictures, and who is in them.

    Args:
        estimator: The network.
        detector: Finds everybody.
    """

    def __init__(self, estimator: PoseEstimator, detector: PeopleDetector) -> None:
        self._everybody = Everybody(estimator, lambda picture, path: detector(picture))
        self._frame = 0
        self._began = time.monotonic()

    def look(self, data: bytes | None) -> str:
        """The people in the next picture, as JSON of a film's frame.

        Args:
            data: A JPEG's bytes; None of a message that was text.

        Raises:
            RefusedFrameError: If it is no JPEG, or one outside the limits.
        """
        picture = _decoded(data or b"")
        passed = time.monotonic() - self._began
        poses = self._everybody.look(picture, passed)
        height, width = picture.shape[:2]
        found = Found("camera", width, height, poses, self._frame, round(passed, 4))
        self._frame += 1
        return json.dumps(found.to_dict(), allow_nan=False)


def _decoded(data: bytes) -> np.ndarray:
    """A JPEG's pixels (H, W, 3) uint8 RGB; its size is checked before they are decoded."""
    if len(data) > LARGEST_FRAME:
        raise RefusedFrameError(TOO_LARGE, f"a picture is larger than {LARGEST_FRAME // 2**20} MB")
    try:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        if not MIN_SIDE <= min(height, width) <= max(height, width) <= LONGEST_SIDE:
            told = (
                f"a picture is {width}×{height} px, its sides must be {MIN_SIDE} to {LONGEST_SIDE}"
            )
            raise RefusedFrameError(TOO_LARGE, told)
        return simplejpeg.decode_jpeg(data, "RGB")
    except RefusedFrameError:
        raise
    except ValueError as error:
        raise RefusedFrameError(NO_PICTURE, "a message is no JPEG that can be read") from error


class Cameras:
    """The cameras that look at once; `await cameras.serve(websocket)` until one goes.

    Each binary message is a JPEG. Its answer is a text, as `Camera.look` gives it.

    Args:
        estimator: The network, which the cameras use in turn.
        most: How many look at once.
        silence: Seconds for which a page may send nothing.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        *,
        most: int = MOST_CAMERAS,
        silence: float = LONGEST_SILENCE,
    ) -> None:
        self._estimator, self._most, self._silence = estimator, most, silence
        self._detector: PeopleDetector | None = None
        self._open = 0

    async def serve(self, websocket: WebSocket) -> None:
        """Serves a camera; why it is refused is said as the reason with which the socket closes."""
        if not is_own_page(websocket.headers.get("origin"), websocket.headers.get("host")):
            return await websocket.close(FOREIGN)
        await websocket.accept()
        if self._open >= self._most:
            told = f"{self._most} cameras look already: try again when one has ended"
            return await websocket.close(TOO_MANY, told)
        self._open += 1
        try:
            await self._answer(websocket)
        finally:
            self._open -= 1

    async def _answer(self, websocket: WebSocket) -> None:
        import anyio
        from starlette.concurrency import run_in_threadpool
        from starlette.websockets import WebSocketDisconnect

        self._detector = self._detector or PeopleDetector()
        camera = Camera(self._estimator, self._detector)
        try:
            while True:
                with anyio.fail_after(self._silence):
                    message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await websocket.send_text(
                    await run_in_threadpool(camera.look, message.get("bytes"))
                )
        except WebSocketDisconnect:  # gone before its answer
            return
        except TimeoutError:
            await websocket.close(SILENT, f"no picture came for {self._silence:g} s")
        except RefusedFrameError as error:
            await websocket.close(error.code, str(error))
        except InputError as error:  # of the model
            await websocket.close(FAILED, str(error)[:MOST_REASON])


def is_own_page(origin: str | None, host: str | None) -> bool:
    """Whether a page of this server asks, or a program that is no browser.

    Browsers let any page open a WebSocket to any server, but say which page it is.

    Args:
        origin: The request's header; None of programs.
        host: Likewise.
    """
    if origin is None:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == str(host).lower()
    except ValueError:  # such as an address with half its brackets
        return False
