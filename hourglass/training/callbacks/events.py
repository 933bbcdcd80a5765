"""The file that TensorBoard reads: records of events, framed as in TFRecord files.

TensorBoard's own writer leaves half a record on a full disk, after which nothing in the file is
read; and where TensorFlow is, its errors are none of the system's.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
import uuid
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event

from hourglass.data.records import frame

VERSION = "brain.Event:2"
"""What the first event says; TensorBoard reads no file without it."""


class EventFile:
    """A file of whole events, closed after each.

    Args:
        folder: Where; it is made.

    Raises:
        OSError: If nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads a folder's files in the order of their names.
        about = f"{time.time():010.0f}.{platform.node()}.{os.getpid()}.{uuid.uuid4().hex}"
        self.path = folder / f"events.out.tfevents.{about}"
        self._size = 0
        self.add(Event(wall_time=time.time(), file_version=VERSION))

    def add(self, event: Event) -> None:
        """Adds an event.

        Raises:
            OSError: If it cannot be written; nothing of it is in the file then.
        """
        record = frame(event.SerializeToString())
        try:
            with self.path.open("ab") as file:
                file.write(record)
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self.path, self._size)
            raise
        self._size += len(record)
