"""From a picture to a pose: crop, run, decode, map back.

This is the way a program uses a trained network::

    estimator = PoseEstimator.load()
    pose = estimator(picture)            # one person, who fills the picture
    poses = estimator.people(picture)    # everyone in it
"""

from __future__ import annotations

import importlib.util
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.calibration import FLIP_TEST, PLAIN
from hourglass.core.decoding import Refinement, decode_heatmaps
from hourglass.core.errors import InputError
from hourglass.core.geometry import (
    box_to_crop,
    crop_matrix,
    crop_to_picture,
    from_grid,
    warp,
)
from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import Skeleton
from hourglass.core.storage import Place
from hourglass.inference.detection import PeopleDetector
from hourglass.media.pictures import as_picture
from hourglass.modelfiles.runtimes import Runtime, load_runtime

if TYPE_CHECKING:
    from PIL import Image

    Picture = np.ndarray | Image.Image
    """(H, W, 3) uint8 RGB, or a Pillow image of any mode."""

BATCH_SIZE = 16
"""Crops that run at once: enough to fill a CPU, little memory."""

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "lite.keras"
"""The model that comes with the project; docs/MODEL_CARD.md says what it is."""

SHIPPED_LITERT = SHIPPED.with_suffix(".tflite")
"""The same as a LiteRT file with float16 weights, for machines without TensorFlow."""


class PoseEstimator:
    """Finds people's joints. May be shared by threads.

    Pictures are (H, W, 3) uint8 RGB arrays, or Pillow images of any mode; these are turned as
    their EXIF data say, and joints are in pixels of the upright picture.

    Args:
        runtime: The network.
        flip_test: Average the heatmaps of each crop and of its mirror image; only for a skeleton
            that mirrors.
        refine: How `decode_heatmaps` refines; default: as the model's configuration says.
        calibrated: Turn the peaks' heights into scores by the model's calibration, if it has one:
            the share of keypoints so scored that are right. Else scores are heights.

    Raises:
        ValueError: If a flip test is asked for and the skeleton has no mirror pairs.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        flip_test: bool = False,
        refine: Refinement | None = None,
        calibrated: bool = True,
    ) -> None:
        self._runtime = runtime
        self._turn = threading.Lock()  # LiteRT's interpreters serve one thread at a time
        if flip_test and not runtime.config.skeleton.mirrors:
            raise InputError(
                f"skeleton {runtime.config.skeleton.name!r} has no left and right joints, so its "
                "mirror image cannot be averaged in: leave the flip test out"
            )
        self._detector: PeopleDetector | None = None
        self._flip_test = flip_test
        self._refine: Any = refine or runtime.config.data.refine
        kind = FLIP_TEST if flip_test else PLAIN
        self._calibration = runtime.calibrations.get(kind) if calibrated else None

    @property
    def skeleton(self) -> Skeleton:
        """What the joints of all poses are."""
        return self._runtime.config.skeleton

    @property
    def calibrated(self) -> bool:
        """Whether scores are shares of right keypoints, and not heights of peaks."""
        return self._calibration is not None

    @classmethod
    def load(
        cls,
        path: str | Place | None = None,
        *,
        flip_test: bool = False,
        refine: Refinement | None = None,
    ) -> PoseEstimator:
        """An estimator from a model file.

        Args:
            path: The file, here or at a URL; default: `default_predictor`'s.
            flip_test: As the class's.
            refine: As the class's.

        Raises:
            ValueError: If there is no such file, or it is no model of this project.
        """
        runtime = load_runtime(path or default_predictor())
        return cls(runtime, flip_test=flip_test, refine=refine)

    def __call__(self, image: Picture, box: Box | None = None) -> Pose:
        """The pose of one person.

        Args:
            image: A picture.
            box: (x, y, width, height) px around the person; default: the whole picture.

        Returns:
            Joints in pixels of `image`.

        Raises:
            ValueError: If the picture is not such an array or the box is not a box.
        """
        picture = as_picture(image)
        return self.poses([picture], [whole(picture) if box is None else box])[0]

    def people(self, image: Picture) -> list[Pose]:
        """The poses of everyone in a picture, who are looked for first (`PeopleDetector`).

        Returns:
            One per person, the surest found first; [] if there is nobody.

        Raises:
            ValueError: If the picture is none.
        """
        picture = as_picture(image)
        with self._turn:
            self._detector = self._detector or PeopleDetector()
        boxes = self._detector(picture)
        return self.poses([picture] * len(boxes), boxes)

    def poses(self, images: Sequence[Picture], boxes: Sequence[Box]) -> list[Pose]:
        """The poses of many people.

        Args:
            images: N pictures; one that shows several people comes as often.
            boxes: N boxes (x, y, width, height) px, one person each.

        Raises:
            ValueError: As `__call__`, and if the lengths differ.
        """
        boxes = [(float(x), float(y), float(width), float(height)) for x, y, width, height in boxes]
        crops = [box_to_crop(box) for box in boxes]
        centers = np.array([center for center, _ in crops]).reshape(-1, 2)
        scales = np.array([scale for _, scale in crops])
        points, scores = self.predict_crops(images, centers, scales)
        return [
            Pose(points=points[person], scores=scores[person], skeleton=self.skeleton, box=box)
            for person, box in enumerate(boxes)
        ]

    def predict_crops(
        self, images: Sequence[Picture], centers: np.ndarray, scales: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The joints of many people, one per picture, whose crops are given as MPII gives them.

        Args:
            images: N pictures of any sizes.
            centers: (N, 2) crop centres, 0-based px.
            scales: (N,) MPII scales, person height / 200 px.

        Returns:
            Points (N, J, 2) float32 in pixels of their pictures, and scores (N, J) float32 in
            [0, 1].

        Raises:
            ValueError: If the lengths differ, or a picture is not such an array.
        """
        centers, scales = np.asarray(centers, np.float64), np.asarray(scales, np.float64)
        if centers.shape != (len(images), 2) or scales.shape != (len(images),):
            raise InputError(
                f"{len(images)} pictures need centers ({len(images)}, 2) and scales "
                f"({len(images)},), got {centers.shape} and {scales.shape}"
            )
        if not np.isfinite(centers).all():
            raise InputError("every one of the centers must be a finite number of px")
        if not (np.isfinite(scales) & (scales > 0)).all():
            raise InputError("every one of the scales must be finite and above 0 (height / 200 px)")
        size = self._runtime.config.network.input_size
        joints = self._runtime.config.network.joints
        points = np.zeros((len(images), joints, 2), np.float32)
        scores = np.zeros((len(images), joints), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            chosen = slice(start, start + BATCH_SIZE)
            matrices = crop_matrix(centers[chosen], scales[chosen], size=size)
            crops = _crops(images[chosen], matrices, size)
            cells, heights = decode_heatmaps(self._heatmaps(crops), refine=self._refine)
            scores[chosen] = self._calibration(heights) if self._calibration else heights
            points[chosen] = crop_to_picture(
                from_grid(cells), centers[chosen], scales[chosen], size=size
            )
        return points, scores

    def highest_heatmap(self, image: Picture, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees in a box, to be drawn.

        Args:
            image: A picture.
            box: (x, y, width, height) px.

        Returns:
            The highest of all joints' heatmaps (S/4, S/4) float32, and the matrix (2, 3) from the
            picture's pixels to the heatmap's.
        """
        size = self._runtime.config.network.input_size
        center, scale = box_to_crop(box)
        matrix = crop_matrix(center, scale, size=size)
        heatmaps = self._heatmaps(_crops([image], matrix[None], size))[0]
        cells = crop_matrix(center, scale, size=heatmaps.shape[0])
        return heatmaps.max(axis=-1), cells

    def _heatmaps(self, crops: np.ndarray) -> np.ndarray:
        with self._turn:
            heatmaps = self._runtime.heatmaps(crops)
            _require_finite(heatmaps)
            if not self._flip_test:
                return heatmaps
            mirrored = self._runtime.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
        _require_finite(mirrored)
        return (heatmaps + mirrored[:, :, ::-1, self.skeleton.flip_order]) / 2


def default_model(folder: Path = Path("models")) -> Path:
    """The best model of the run in `folder` that was trained last, or else the shipped one.

    That is its LiteRT file where TensorFlow is not installed.
    """
    found = sorted(folder.glob("*/best.keras"), key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1]
    return SHIPPED if importlib.util.find_spec("tensorflow") else SHIPPED_LITERT


def default_predictor(folder: Path = Path("models")) -> Path:
    """The file that predictions run if none is named: `default_model`'s, or its LiteRT twin.

    That starts many times sooner than TensorFlow. It is taken of the shipped model, where LiteRT
    is installed and there is no NVIDIA GPU that TensorFlow could use.
    """
    model = default_model(folder)
    quick = importlib.util.find_spec("ai_edge_litert") and not shutil.which("nvidia-smi")
    return SHIPPED_LITERT if model == SHIPPED and quick else model


def whole(image: np.ndarray) -> Box:
    """The box around a whole picture (H, W, 3)."""
    height, width = image.shape[:2]
    return 0.0, 0.0, float(width), float(height)


def _require_finite(heatmaps: np.ndarray) -> None:
    if not np.isfinite(heatmaps.sum()):  # the quickest look at every number
        raise InputError(
            "the model gives heatmaps that are no numbers (NaN or infinite): its weights are "
            "damaged, or its arithmetic overflows; another model file is needed"
        )


def _crops(images: Sequence[Picture], matrices: np.ndarray, size: int) -> np.ndarray:
    pairs = zip(map(as_picture, images), matrices, strict=True)
    return np.stack([warp(picture, matrix, size=size) for picture, matrix in pairs])
