"""`python -m hourglass.predict`: finds people's joints in pictures and films, and draws them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

from hourglass.console import Progress, command, quiet_stderr, write_file
from hourglass.core.boxes import Boxes, read_boxes, require_overlap
from hourglass.core.pose import Box, Pose
from hourglass.inference.estimator import PoseEstimator, default_model
from hourglass.inference.pipeline import (
    AHEAD,
    Failed,
    Locate,
    Seen,
    Writer,
    see_film,
    see_pictures,
    whole_picture,
)
from hourglass.media.drawing import MIN_SCORE, PARTS, draw_heatmap, draw_pose
from hourglass.media.inputs import FILM_SUFFIXES, Inputs, find_inputs
from hourglass.media.pictures import JPEG_QUALITY
from hourglass.media.results import Found, to_coco, to_csv, to_json, to_openpose
from hourglass.media.video import CODECS, Film, FilmWriter

HEATMAP, NOTHING = "heatmap", "nothing"
DRAWINGS = (*PARTS, HEATMAP, NOTHING)

MOST_TOLD = 20
"""Failures told one by one; of more, their number."""

WINDOW = "hourglass"
QUIT_KEYS = frozenset({27, ord("q")})  # escape


@dataclass(frozen=True)
class Look:
    """How poses are drawn.

    Attributes:
        parts: Some of `DRAWINGS`.
        min_score: Joints scored lower are not drawn.
    """

    parts: tuple[str, ...] = ("skeleton", "keypoints")
    min_score: float = MIN_SCORE

    def draw(
        self, picture: np.ndarray, poses: Sequence[Pose], estimator: PoseEstimator
    ) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB with its people."""
        if HEATMAP in self.parts:
            # Each is predicted from the picture, not from the glow of the one before.
            seen = [estimator.highest_heatmap(picture, pose.box) for pose in poses]
            for heatmap, matrix in seen:
                picture = draw_heatmap(picture, heatmap, matrix)
        parts = [part for part in self.parts if part in PARTS]
        for pose in poses:
            picture = draw_pose(picture, pose, min_score=self.min_score, parts=parts)
        return picture


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Writes (H, W, 3) uint8 RGB as the file's ending says.

    Raises:
        ValueError: If it cannot be written.
    """
    try:
        Image.fromarray(picture).save(path, quality=JPEG_QUALITY)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror})") from error


def drawn_names(images: Sequence[Path], output: Path, ending: str = "_pose.jpg") -> list[Path]:
    """A file in `output` for each picture; pictures of one name in several folders get numbers."""
    used: dict[str, int] = {}
    names = []
    for image in images:
        count = used[image.stem] = used.get(image.stem, 0) + 1
        stem, dot, suffix = ending.partition(".")
        number = f"_{count}" if count > 1 else ""
        names.append(output / f"{image.stem}{stem}{number}{dot}{suffix}")
    return names


def locator(boxes: Sequence[Box], listed: Boxes | None, detect: bool) -> Locate:
    """What says where people are: given boxes, a file's, a detector, or the whole picture.

    Raises:
        ValueError: From the `Locate`, if a box lies outside its picture, the file has none for it,
            or nobody is found in it.
    """

    if detect:
        from hourglass.inference.detection import PeopleDetector

        detector = PeopleDetector()

        def detected(picture: np.ndarray, path: Path | None) -> list[Box]:
            found = detector(picture)
            if not found and path is not None:
                raise ValueError(f"{path}: --detect found nobody; --box would say where to look")
            return found

        return detected

    def given(picture: np.ndarray, path: Path | None) -> list[Box]:
        chosen = listed.of(path) if listed and path else list(boxes)
        if listed and not chosen:
            raise ValueError(f"{path}: no box for this picture in --boxes")
        height, width = picture.shape[:2]
        for box in chosen:
            require_overlap(box, width=width, height=height, where=str(path or "--box"))
        return chosen

    return given if boxes or listed else whole_picture


def format_pose(found: Found, drawn: Path | None) -> str:
    """Joint names, pixels of the original picture and scores of each person, as text."""
    lines = [f"{found.image} -> {drawn}" if drawn else found.image]
    for pose in found.poses:
        lines.append(f"  {'':<15}{'x':>9}{'y':>9}{'score':>8}")
        lines += [
            f"  {name:<15}{x:>9.1f}{y:>9.1f}{score:>8.2f}"
            for name, (x, y), score in zip(
                pose.skeleton.joints, pose.points, pose.scores, strict=True
            )
        ]
    return "\n".join(lines)


def predict_pictures(
    paths: Sequence[Path],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    drawn: Sequence[Path | None],
    look: Look,
) -> tuple[list[Found], list[str]]:
    """Finds the people in pictures, and writes the pictures with their skeletons.

    Args:
        paths: Picture files.
        estimator: The network.
        locate: Says where people are.
        drawn: A file to write for each picture, or None.
        look: How they are drawn.

    Returns:
        What was found, and a line for each picture that failed; the others are done.
    """
    found, failures = [], []
    with Progress("predicting", total=len(paths), unit="pictures") as progress, Writer() as writer:
        seen = see_pictures(paths, estimator, locate)
        for one, target in zip(seen, drawn, strict=True):
            if isinstance(one, Failed):
                failures.append(str(one.error))
            else:
                found.append(_found(one, str(one.path)))
                if target:
                    writer.submit(_drawing(one, target, look, estimator))
            progress.advance()
    return found, failures + writer.failures


def _drawing(seen: Seen, target: Path, look: Look, estimator: PoseEstimator) -> Callable[[], None]:
    return lambda: save_picture(look.draw(seen.picture, seen.poses, estimator), target)


def _found(seen: Seen, name: str) -> Found:
    height, width = seen.picture.shape[:2]
    frame = seen.frame
    number, time = (frame.number, round(frame.time, 4)) if frame else (None, None)
    return Found(name, width, height, seen.poses, number, time)


def predict_film(
    source: Path | int,
    estimator: PoseEstimator,
    locate: Locate,
    *,
    drawn: Path | None,
    look: Look,
    every: int = 1,
    follow: bool = True,
    smooth: bool = False,
    show: bool = False,
) -> tuple[list[Found], list[str]]:
    """Finds the people in a film, frame by frame, and writes it with their skeletons.

    Args:
        source: The film's file, or a camera's number.
        estimator: The network.
        locate: Says where people are at first, and when one is lost.
        drawn: The film to write, or None.
        look: How people are drawn.
        every: Take each `every`-th frame only.
        follow: Let boxes follow from the last frame's joints.
        smooth: Filter joints against jitter.
        show: Show the film in a window while it is made; Q or Escape ends it.

    Returns:
        What was found, and a line if the film ended in a failure; frames before it are done.

    Raises:
        ValueError: If the film cannot be opened or written, or there is no window to show it in.
    """
    film = Film(source, every=every)
    name = f"camera {source}" if isinstance(source, int) else str(source)
    found: list[Found] = []
    failures = []
    with ExitStack() as stack:
        writer = stack.enter_context(FilmWriter(drawn, rate=film.rate)) if drawn else None
        window = stack.enter_context(_Window()) if show else None
        progress = stack.enter_context(
            Progress(f"predicting {name}", total=film.frames, unit="frames")
        )
        smooth_at = film.rate if smooth else None
        ahead = 1 if isinstance(source, int) else AHEAD
        seen = see_film(film, estimator, locate, follow=follow, smooth_at=smooth_at, ahead=ahead)
        try:
            for one in seen:
                found.append(_found(one, name))
                if writer or window:
                    picture = look.draw(one.picture, one.poses, estimator)
                    if writer:
                        writer.write(picture)
                    if window and not window.show(picture):
                        break
                progress.advance()
        except KeyboardInterrupt:
            # A camera has no end but Ctrl-C; what was seen until then is kept.
            click.echo("interrupted", err=True)
        except ValueError as error:
            if not found:
                raise
            failures.append(str(error))
    return found, failures


class _Window:
    """A window on the screen; a context manager."""

    def __enter__(self) -> _Window:
        import cv2

        self._cv2 = cv2
        try:
            with quiet_stderr():
                cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ValueError(
                "--show: OpenCV can open no window here; it needs a display, and the package "
                "opencv-python in the place of opencv-python-headless"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._cv2.destroyAllWindows()

    def show(self, picture: np.ndarray) -> bool:
        """Shows a frame; False once the user wants to end."""
        self._cv2.imshow(WINDOW, picture[..., ::-1])
        return self._cv2.waitKey(1) & 0xFF not in QUIT_KEYS


@dataclass(frozen=True)
class Outputs:
    """Files that a command is to write, besides pictures.

    Attributes:
        json: All poses, with names.
        csv: A row per person.
        coco: COCO's keypoint results.
        openpose: Folder of a file per picture or frame.
    """

    json: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    openpose: Path | None = None

    def files(self) -> list[Path]:
        """Those that are single files."""
        return [path for path in (self.json, self.csv, self.coco) if path]

    def write(self, found: Sequence[Found]) -> None:
        """Writes them.

        Raises:
            ValueError: If one cannot be written.
        """
        formats = ((self.json, to_json), (self.csv, to_csv), (self.coco, to_coco))
        for path, to_text in formats:
            if path:
                write_file(path, to_text(found))
        if self.openpose:
            make_folder(self.openpose)
            for one, path in zip(found, openpose_names(found, self.openpose), strict=True):
                write_file(path, to_openpose(one))


def openpose_names(found: Sequence[Found], folder: Path) -> list[Path]:
    """OpenPose's own names: `NAME_keypoints.json`, with the frame's 12 digits in a film."""
    names = [
        Path(one.image if one.frame is None else f"{Path(one.image).stem}_{one.frame:012d}.film")
        for one in found
    ]
    return drawn_names(names, folder, "_keypoints.json")


def make_folder(output: Path) -> None:
    """Makes a folder that may be there.

    Raises:
        ValueError: If it cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{output}: cannot be written ({error.strerror})") from error


def refuse_existing(paths: Iterable[Path | None], force: bool) -> None:
    """Keeps files from being overwritten.

    Raises:
        ValueError: If one is there; names the first.
    """
    there = [path for path in paths if path and path.exists()]
    if there and not force:
        more = f", and {len(there) - 1} more" if len(there) > 1 else ""
        raise ValueError(f"{there[0]} is there already{more}; --force would overwrite")


def refuse_shared(targets: Sequence[Path], inputs: Iterable[Path | int | None]) -> None:
    """Keeps a file from being written twice, or over what is looked at.

    Raises:
        ValueError: If that would be; names the first.
    """
    read = {path.resolve() for path in inputs if isinstance(path, Path)}
    counts = Counter(path.resolve() for path in targets)
    for path in targets:
        if path.resolve() in read:
            raise ValueError(f"{path} is looked at: it cannot be written, too")
        if counts[path.resolve()] > 1:
            raise ValueError(f"{path} would be written twice: give each output its own file")


def film_targets(films: Sequence[Path | int], output: Path) -> list[Path]:
    """The film to write for each film: `output` itself if it is called like one."""
    if output.suffix.lower() in CODECS:
        if len(films) > 1:
            raise ValueError(f"--output {output}: {len(films)} films cannot share one file")
        return [output]
    if films and output.suffix.lower() in FILM_SUFFIXES:
        raise ValueError(f"--output {output}: films are written as {', '.join(CODECS)}")
    names = [Path(f"camera{film}") if isinstance(film, int) else film for film in films]
    return drawn_names(names, output, "_pose.mp4")


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--recursive", is_flag=True, help="Search the folders inside folders, too.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("predictions"),
    show_default=True,
    help="Folder of what is drawn; of a film, the film file if it is called like one.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--json", type=click.Path(path_type=Path), help="File to write all joints to.")
@click.option("--csv", type=click.Path(path_type=Path), help="The same as a table.")
@click.option("--coco", type=click.Path(path_type=Path), help="As COCO's keypoint results.")
@click.option("--openpose", type=click.Path(path_type=Path), help="Folder: as OpenPose's files.")
@click.option(
    "--box",
    "boxes",
    type=float,
    nargs=4,
    multiple=True,
    metavar="X Y W H",
    help="A person's box, px; several for several people. [default: the whole picture]",
)
@click.option(
    "--boxes",
    "boxes_file",
    type=click.Path(path_type=Path),
    help="JSON or CSV file of each picture's boxes.",
)
@click.option("--detect", is_flag=True, help="Find the people in each picture.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=MIN_SCORE,
    show_default=True,
    help="Joints scored lower are not drawn.",
)
@click.option(
    "--draw",
    "parts",
    type=click.Choice(DRAWINGS),
    multiple=True,
    default=("skeleton", "keypoints"),
    show_default=True,
    help="What to draw; may be given several times.",
)
@click.option("--flip-test", is_flag=True, help="Average in each crop's mirror image.")
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of films, each N-th frame only.",
)
@click.option("--smooth", is_flag=True, help="Of films, filter joints against jitter.")
@click.option("--show", is_flag=True, help="Show films in a window while they are made.")
@command
def main(
    inputs: tuple[str, ...],
    recursive: bool,
    model: Path | None,
    output: Path,
    force: bool,
    boxes: tuple[Box, ...],
    boxes_file: Path | None,
    detect: bool,
    min_score: float,
    parts: tuple[str, ...],
    flip_test: bool,
    every: int,
    smooth: bool,
    show: bool,
    **files: Path | None,
) -> None:
    """Finds people's joints in pictures and films, and draws them.

    INPUT is a picture, a folder of pictures, a pattern in quotes, a film, a camera's number, or -
    for a list of pictures on standard input. Without --box, --boxes or --detect, each picture shows
    one person who fills it; in films, boxes follow from the last frame's joints.
    """
    if sum(map(bool, (boxes, boxes_file, detect))) > 1:
        raise ValueError("--box, --boxes and --detect all say where people are: give one of them")
    found_inputs = find_inputs(
        inputs, recursive=recursive, listed=sys.stdin if "-" in inputs else ()
    )
    if boxes_file and found_inputs.films:
        raise ValueError("--boxes is for pictures; of a film, --box says where to begin")
    outputs = Outputs(**files)
    look = Look(parts, min_score)
    drawn = _targets(found_inputs, output, draws=NOTHING not in parts)
    targets = [*outputs.files(), *(path for path in drawn.values() if path)]
    refuse_shared(targets, [*found_inputs.pictures, *found_inputs.films, boxes_file])
    there = sorted(outputs.openpose.glob("*_keypoints.json")) if outputs.openpose else []
    refuse_existing([*targets, *there], force)
    model = model or default_model()
    with quiet_stderr():
        estimator = PoseEstimator.load(model, flip_test=flip_test)
    locate = locator(boxes, read_boxes(boxes_file) if boxes_file else None, detect)
    for target in drawn.values():
        if target:
            make_folder(target.parent)
    pictures = found_inputs.pictures
    found, failures = predict_pictures(
        pictures, estimator, locate, drawn=[drawn[path] for path in pictures], look=look
    )
    done = len(found)
    if len(pictures) == 1:
        for one in found:
            click.echo(format_pose(one, drawn[pictures[0]]))
    for film in found_inputs.films:
        try:
            more, failed = predict_film(
                film,
                estimator,
                locate,
                drawn=drawn[film],
                look=look,
                every=every,
                smooth=smooth,
                show=show,
            )
            found += more
            failures += failed
        except ValueError as error:
            failures.append(str(error))
    try:
        outputs.write(found)
    except ValueError as error:
        failures.append(str(error))
    _tell(done, len(found) - done, found_inputs, output if any(drawn.values()) else None, model)
    if failures:
        left = len(failures) - MOST_TOLD
        told = [*failures[:MOST_TOLD], *([f"and {left} more"] if left > 0 else [])]
        raise click.ClickException("\n".join(told))


def _targets(inputs: Inputs, output: Path, *, draws: bool) -> dict[Path | int, Path | None]:
    """What is drawn into which file; None for everything if nothing is drawn."""
    if not draws:
        return dict.fromkeys([*inputs.pictures, *inputs.films])
    if inputs.pictures and output.suffix.lower() in CODECS:
        raise ValueError(f"--output {output}: of pictures, this is a folder, not a film")
    drawn: dict[Path | int, Path | None] = {}
    drawn.update(zip(inputs.pictures, drawn_names(inputs.pictures, output), strict=True))
    drawn.update(zip(inputs.films, film_targets(inputs.films, output), strict=True))
    return drawn


def _tell(pictures: int, frames: int, inputs: Inputs, output: Path | None, model: Path) -> None:
    parts = []
    if inputs.pictures:
        parts.append(f"{pictures} of {len(inputs.pictures)} pictures")
    if inputs.films:
        parts.append(f"{frames} frames of {len(inputs.films)} films")
    where = f", drawn in {output}" if output else ""
    click.echo(f"{' and '.join(parts)} done{where}, model {model}")


if __name__ == "__main__":
    main()
