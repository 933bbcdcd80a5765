"""The detector: people where they are, at any size, and nobody where there is none."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from hourglass.inference.detection import PeopleDetector
from hourglass.media.pictures import read_picture

ASTRONAUT = (10, 18, 358, 490)
"""Her box in the photograph, px, by eye."""


@pytest.fixture(scope="module")
def detector() -> PeopleDetector:
    return PeopleDetector()


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return read_picture(Path(__file__).parents[1] / "pictures" / "astronaut.jpg")


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union."""
    (x, y, width, height), (u, v, wide, high) = one, other
    across = max(0.0, min(x + width, u + wide) - max(x, u))
    down = max(0.0, min(y + height, v + high) - max(y, v))
    return across * down / (width * height + wide * high - across * down)


def on_canvas(picture: np.ndarray, x: int, y: int, size: tuple[int, int]) -> np.ndarray:
    canvas = np.full((*size, 3), 128, np.uint8)
    canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return canvas


def test_a_person_is_found(detector: PeopleDetector, photograph: np.ndarray):
    (box,) = detector(photograph)
    assert overlap(box, ASTRONAUT) > 0.8


@pytest.mark.parametrize("zoom", [0.25, 0.6, 3.0])
def test_a_person_is_found_at_any_size(
    detector: PeopleDetector, photograph: np.ndarray, zoom: float
):
    resized = cv2.resize(photograph, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    (box,) = detector(resized)
    assert overlap(box, tuple(zoom * side for side in ASTRONAUT)) > 0.8


def test_small_people_in_a_large_picture_are_found(
    detector: PeopleDetector, photograph: np.ndarray
):
    small = cv2.resize(photograph, (56, 56), interpolation=cv2.INTER_AREA)
    canvas = on_canvas(small, 60, 80, (480, 640))
    canvas[300:356, 500:556] = small
    assert len(detector(canvas)) == 2


def test_several_people_are_found_where_they_are(detector: PeopleDetector, photograph: np.ndarray):
    small = cv2.resize(photograph, (256, 256), interpolation=cv2.INTER_AREA)
    canvas = on_canvas(small, 30, 60, (400, 700))
    canvas[100:356, 400:656] = small
    boxes = sorted(detector(canvas))
    assert len(boxes) == 2
    half = np.array(ASTRONAUT) / 2
    for box, corner in zip(boxes, [(30, 60), (400, 100)], strict=True):
        assert overlap(box, tuple(np.add(half, (*corner, 0, 0)))) > 0.8


def test_nobody_is_found_where_nobody_is(detector: PeopleDetector):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert detector(noise) == []
    assert detector(np.full((16, 300, 3), 90, np.uint8)) == []


def test_boxes_stay_inside_the_picture(detector: PeopleDetector, photograph: np.ndarray):
    cut = photograph[40:420, 80:330]
    boxes = detector(cut)
    assert boxes
    for x, y, width, height in boxes:
        assert min(x, y) >= 0
        assert x + width <= 250
        assert y + height <= 380


def test_threads_may_share_a_detector(detector: PeopleDetector, photograph: np.ndarray):
    pictures = [photograph, photograph[:, ::-1], photograph[::2, ::2]] * 4
    alone = [detector(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector, pictures)) == alone


@pytest.mark.parametrize("shape", [(16, 65_500, 3), (600, 40_000, 3)])
def test_a_long_picture_of_nobody_takes_no_memory(detector: PeopleDetector, shape: tuple[int, ...]):
    panorama = np.full(shape, 90, np.uint8)
    detector(panorama[:, :1000])
    tracemalloc.start()
    try:
        assert detector(panorama) == []
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20e6


def test_somebody_with_room_around_is_found_in_the_pictures_own_pixels(
    detector: PeopleDetector, photograph: np.ndarray
):
    for picture in (photograph[:, 60:330], photograph[60:400]):
        for x, y, width, height in detector.find(picture, room=0.3):
            assert 0 <= x < x + width <= picture.shape[1]
            assert 0 <= y < y + height <= picture.shape[0]
        (close,) = detector.find(picture, room=0.3)[:1]
        (plain,) = detector.find(picture)[:1]
        assert overlap(close, plain) > 0.8
