"""Virtual cameras: motion seen from anywhere, as pixels, with the errors that a 2D network makes.

Frames of a camera are x right, y down, z forward; the world's y points up. All randomness comes
from a generator that the caller gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hourglass.lifting.body import BODY, PELVIS, SEEN

PICTURE = 1000.0
"""Side of a virtual camera's square picture, px."""


@dataclass(frozen=True)
class CameraRange:
    """Where virtual cameras stand and how they see; each value is drawn evenly between two ends.

    Attributes:
        elevation: Degrees above the person's level; negative looks up.
        distance: Metres from the person.
        focal: Focal length, px, of a picture of `PICTURE` px.
        jitter: How far the person may be from the picture's middle, px, each way.
        roll: Degrees that the camera may be tilted, each way.
    """

    elevation: tuple[float, float] = (-10.0, 40.0)
    distance: tuple[float, float] = (3.0, 7.0)
    focal: tuple[float, float] = (900.0, 1400.0)
    jitter: float = 100.0
    roll: float = 5.0


@dataclass(frozen=True)
class Detector:
    """The errors of the 2D network that lifting follows.

    Each person has a level of errors of their own, from none to these, most of them low: pictures
    are easy or hard as a whole.

    Attributes:
        sigma: Standard deviation of a joint's usual error at the highest level, in lengths of the
            person (the distance that `person_size` measures).
        far: Share of joints that lie far off then, such as the other leg's.
        far_sigma: Standard deviation of those.
        missing: Share of joints that are not found.
        cut: Share of people of whom a whole part (legs, or one arm) is not found.
        level: Every person's level; None to draw it.
    """

    sigma: float = 0.08
    far: float = 0.25
    far_sigma: float = 0.6
    missing: float = 0.05
    cut: float = 0.1
    level: float | None = None


PARTS = (
    ("right_knee", "right_ankle", "left_knee", "left_ankle"),
    ("right_elbow", "right_wrist"),
    ("left_elbow", "left_wrist"),
    ("neck", "head_top"),
    ("pelvis", "right_hip", "left_hip", "right_knee", "right_ankle", "left_knee", "left_ankle"),
)
"""What goes missing together: the picture's edge or a table hides it, or a skeleton lacks it."""

_PART_MASKS = np.array([[BODY.joints[joint] in part for joint in SEEN] for part in PARTS])


def random_views(
    rng: np.random.Generator, points: np.ndarray, *, cameras: CameraRange | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Each pose seen by a camera of its own.

    Args:
        rng: Draws the cameras.
        points: (F, 17, 3) mm in the world, y up.
        cameras: Where they may stand.

    Returns:
        Poses (F, 17, 3) float32 about the pelvis in the camera's frame, mm, and pixels
        (F, 17, 2) float32.
    """
    cameras = cameras or CameraRange()
    count = len(points)
    rotation = _rotations(
        azimuth=rng.uniform(0, 2 * np.pi, count),
        elevation=np.deg2rad(rng.uniform(*cameras.elevation, count)),
        roll=np.deg2rad(rng.uniform(-cameras.roll, cameras.roll, count)),
    )
    distance = 1000 * rng.uniform(*cameras.distance, count)
    focal = rng.uniform(*cameras.focal, count)
    middle = rng.uniform(-cameras.jitter, cameras.jitter, (count, 2))
    relative = points - points[:, PELVIS : PELVIS + 1]
    seen = np.einsum("fij,fkj->fki", rotation, relative).astype(np.float32)
    # The person is moved sideways in space, so that perspective knows of it.
    place = np.concatenate([middle * (distance / focal)[:, None], distance[:, None]], axis=1)
    return seen, project(seen + place[:, None].astype(np.float32), focal=focal)


def _rotations(*, azimuth: np.ndarray, elevation: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """World to camera (F, 3, 3): about the vertical, then down by the elevation, then the roll."""
    zero, one = np.zeros_like(azimuth), np.ones_like(azimuth)

    def matrix(*rows: np.ndarray) -> np.ndarray:
        return np.stack(rows, axis=-1).reshape(-1, 3, 3)

    sine, cosine = np.sin(azimuth), np.cos(azimuth)
    turn = matrix(cosine, zero, sine, zero, one, zero, -sine, zero, cosine)
    level = np.diag([1.0, -1.0, -1.0])
    sine, cosine = np.sin(elevation), np.cos(elevation)
    tilt = matrix(one, zero, zero, zero, cosine, -sine, zero, sine, cosine)
    sine, cosine = np.sin(roll), np.cos(roll)
    spin = matrix(cosine, -sine, zero, sine, cosine, zero, zero, zero, one)
    return spin @ tilt @ level @ turn


def project(points: np.ndarray, *, focal: np.ndarray) -> np.ndarray:
    """Perspective pixels (F, J, 2) of points (F, J, 3) mm in the camera's frame.

    The optical axis goes through the middle of the `PICTURE`; `focal` is (F,) px.
    """
    flat = points[..., :2] / np.maximum(points[..., 2:], 1.0)
    return (focal[:, None, None] * flat + (PICTURE - 1) / 2).astype(np.float32)


def person_size(pixels: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """How large people are in their picture, px: the root mean square distance from their middle.

    Args:
        pixels: (..., J, 2).
        known: (..., J) bool, joints that count; None: all.

    Returns:
        (...,)
    """
    weights = np.ones(pixels.shape[:-1]) if known is None else known.astype(float)
    count = np.maximum(weights.sum(axis=-1, keepdims=True), 1)
    middle = (pixels * weights[..., None]).sum(axis=-2, keepdims=True) / count[..., None]
    squares = ((pixels - middle) ** 2).sum(axis=-1) * weights
    return np.sqrt(squares.sum(axis=-1) / count[..., 0])


def random_detections(
    rng: np.random.Generator, pixels: np.ndarray, *, detector: Detector | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What a 2D network would say of people in pictures.

    Args:
        rng: Draws the errors.
        pixels: (F, 17, 2) the joints' true pixels.
        detector: How it errs.

    Returns:
        The 16 joints that it finds (F, 16, 2) float32, and which were found (F, 16) bool, always
        two at least.
    """
    detector = detector or Detector()
    true = pixels[:, SEEN]
    shape = true.shape[:2]
    size = person_size(true)[:, None]
    level = rng.random((len(true), 1)) ** 2 if detector.level is None else detector.level
    far = rng.random(shape) < level * detector.far
    sigma = np.where(far, detector.far_sigma, level * detector.sigma)
    noisy = true + rng.normal(size=true.shape) * (sigma * size)[..., None]
    known = rng.random(shape) >= detector.missing
    cut = rng.random(len(true)) < detector.cut
    part = rng.integers(len(PARTS), size=len(true))
    known &= ~(cut[:, None] & _PART_MASKS[part])
    known[known.sum(axis=1) < 2] = True
    return noisy.astype(np.float32), known


def fit_errors(distances: np.ndarray, *, rounds: int = 200) -> tuple[float, float, float]:
    """What `Detector` says of a 2D network, from how far its joints lie off.

    Errors are a mixture of two round Gaussians, near and far; expectation and maximisation in turn
    (Dempster, Laird & Rubin, 1977) find both.

    Args:
        distances: (N,) distances between found and true joints, in lengths of the person.
        rounds: Of the two steps.

    Returns:
        Near standard deviation, share of far joints, and their standard deviation.
    """
    squares = np.asarray(distances, float) ** 2
    near, far, share = np.median(squares) / 2, 10 * np.median(squares), 0.1
    for _ in range(rounds):
        density = [np.exp(-squares / (2 * one)) / one for one in (near, far)]
        there = (
            share * density[1] / np.maximum((1 - share) * density[0] + share * density[1], 1e-300)
        )
        near = ((1 - there) * squares).sum() / (2 * (1 - there).sum())
        far = (there * squares).sum() / (2 * there.sum())
        share = there.mean()
    return float(np.sqrt(near)), float(share), float(np.sqrt(far))
