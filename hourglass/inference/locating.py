"""Where people are: given boxes, a file's, a detector's, or the whole picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hourglass.core.boxes import Boxes, require_overlap
from hourglass.core.errors import InputError
from hourglass.core.pose import Box
from hourglass.core.storage import Place
from hourglass.inference.pipeline import Locate, whole_picture


def refuse_several_ways(boxes: Sequence[Box], listed: Boxes | None, detect: bool) -> None:
    """Refuses more than one way of `locator`'s.

    Raises:
        ValueError: If more than one is given.
    """
    if sum(map(bool, (boxes, listed is not None, detect))) > 1:
        raise InputError("--box, --boxes and --detect all say where people are: give one of them")


def locator(boxes: Sequence[Box], listed: Boxes | None, detect: bool) -> Locate:
    """What says where people are: given boxes, a file's, a detector, or the whole picture.

    Raises:
        ValueError: If more than one of them is given. From the `Locate`, if a box lies outside its
            picture, the file has none for it, or nobody is found in it.
    """
    refuse_several_ways(boxes, listed, detect)
    if detect:
        from hourglass.inference.detection import PeopleDetector

        detector = PeopleDetector()

        def detected(picture: np.ndarray, path: Place | None) -> list[Box]:
            found = detector(picture)
            if not found and path is not None:
                raise InputError(f"{path}: --detect found nobody; --box would say where to look")
            return found

        return detected

    def given(picture: np.ndarray, path: Place | None) -> list[Box]:
        chosen = listed.of(path) if listed and path else list(boxes)
        if listed and not chosen:
            raise InputError(f"{path}: no box for this picture in --boxes")
        height, width = picture.shape[:2]
        for box in chosen:
            require_overlap(box, width=width, height=height, where=str(path or "--box"))
        return chosen

    return given if boxes or listed else whole_picture
