"""What all ways to feed a training share: how many batches there are, and who waits for them."""

from __future__ import annotations

import time


def steps_per_epoch(people: int, batch_size: int, pattern: str) -> int:
    """Whole batches in an epoch.

    Raises:
        ValueError: If there is none.
    """
    if people < batch_size:
        raise ValueError(
            f"{pattern}: {people} people do not fill one batch of {batch_size}; "
            "choose a smaller batch size"
        )
    return people // batch_size


class InputClock:
    """Adds up the seconds that a training waits for its batches: `waited`."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._asked = 0.0

    def start(self) -> None:
        """A batch is asked for."""
        self._asked = time.perf_counter()

    def stop(self) -> None:
        """It is there."""
        self.waited += time.perf_counter() - self._asked
