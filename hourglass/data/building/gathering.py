"""What comes before a build: where the pictures are, and what a user should know of the labels."""

from __future__ import annotations

from pathlib import Path

from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.skeleton import SKELETONS, Skeleton
from hourglass.core.storage import Place, Url
from hourglass.data.readers.checks import check_labels, read_sizes
from hourglass.data.readers.label_set import Labels, write_frames
from hourglass.data.readers.picture_folders import find_images


def find_pictures(labels: Labels, annotations: Path, images: Place | None) -> Place:
    """The folder of the pictures; labelled frames of films are written there.

    Args:
        labels: As read from `annotations`.
        annotations: File or folder.
        images: Where the user says they are; None for beside the labels.

    Raises:
        ValueError: If they are not beside the labels, or frames have no folder to go to.
    """
    if not labels.frames:
        return images or find_images(labels, annotations)
    if isinstance(images, Url):
        raise InputError(
            f"{annotations}: labels {len(labels.frames)} frames of films; they are written to a "
            f"folder on this machine, not to --images {images}"
        )
    if images is None:
        raise InputError(
            f"{annotations}: labels {len(labels.frames)} frames of films; say with --images into "
            "which folder to write them"
        )
    written = write_frames(labels, images)
    if written:
        logger.info(f"{written} labelled frames written to {images}")
    return images


def tell(labels: Labels, images: Place) -> None:
    """Logs what a user should know of labels before training on them.

    Raises:
        ValueError: If nothing could be learnt from them.
    """
    logger.info(_described(labels.skeleton))
    for split, people in labels.people.items():
        pictures = len({person.filename for person in people})
        logger.info(f"{split}: {len(people)} people in {pictures} pictures")
    everyone = [person.filename for people in labels.people.values() for person in people]
    for warning in [*labels.notes, *check_labels(labels, read_sizes(images, everyone))]:
        logger.warning(warning)


def _described(skeleton: Skeleton) -> str:
    """A skeleton in a line, with the mirror pairs of one that is not built in."""
    text = f"skeleton {skeleton.name}: {len(skeleton.joints)} joints"
    if skeleton in SKELETONS.values():
        return text
    pairs = [f"{skeleton.joints[one]}/{skeleton.joints[two]}" for one, two in skeleton.mirror_pairs]
    mirrors = ", ".join(pairs) or "none, so that training will not flip pictures"
    return f"{text}; mirrored: {mirrors}"
