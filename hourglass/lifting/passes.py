"""One pass over pictures, films or files of joints: finds people, lifts them, draws the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.progress import Progress
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.films import see_film
from hourglass.inference.pipeline import Failed, Locate, Seen, Writer, see_pictures
from hourglass.inference.smoothing import OneEuroFilter
from hourglass.lifting.estimator import Body, Lifter
from hourglass.lifting.keypoint_files import parse_keypoints, read_keypoints
from hourglass.lifting.panels import SIZE, draw_panels
from hourglass.lifting.results import Lifted, to_json
from hourglass.media.film_writer import FilmWriter
from hourglass.media.inputs import Source
from hourglass.media.pictures import save_picture
from hourglass.media.results import Found
from hourglass.media.video import open_film

TURN = 30.0
"""Degrees that the 3D panel's eye stands beside the camera."""

DEGREES_PER_SECOND = 40.0
"""How fast it goes around in films."""

PERSON = 1700.0
"""Millimetres that speeds are measured in by the filter against jitter."""


def lift_files(paths: Sequence[Path], lifter: Lifter) -> tuple[list[Lifted], list[str]]:
    """Lifts the people in files of joints.

    Returns:
        What was lifted, and a line for each file or person that failed.
    """
    lifted, failures = [], []
    for path in paths:
        try:
            found = read_keypoints(path)
        except InputError as error:
            failures.append(str(error))
            continue
        for one in found:
            bodies = lifter.bodies(one.poses)
            frame = "" if one.frame is None else f" frame {one.frame}"
            failures += _refusals(f"{one.image}{frame}", one, bodies, lifter)
            lifted.append(Lifted(one, bodies))
    return lifted, failures


def lift_text(text: str, lifter: Lifter) -> str:
    """JSON of people's joints, as `read_keypoints` takes it, to JSON of them in three dimensions.

    Raises:
        ValueError: If it is no such text.
    """
    found = parse_keypoints(text, where="joints")
    return to_json([Lifted(one, lifter.bodies(one.poses)) for one in found])


def _refusals(where: str, found: Found, bodies: Sequence[Body | None], lifter: Lifter) -> list[str]:
    return [
        f"{where}: person {number}: {lifter.refusal(pose)}"
        for number, (pose, body) in enumerate(zip(found.poses, bodies, strict=True))
        if body is None
    ]


def lift_pictures(
    paths: Sequence[Path],
    estimator: PoseEstimator,
    lifter: Lifter,
    locate: Locate,
    *,
    drawn: Sequence[Path | None],
) -> tuple[list[Lifted], list[str]]:
    """Finds and lifts the people in pictures, and writes the panels, a row for each person.

    Returns:
        What was lifted, and a line for each picture or person that failed; the others are done.
    """
    lifted, failures = [], []
    with Progress("lifting", total=len(paths), unit="pictures") as progress, Writer() as writer:
        seen = see_pictures(paths, estimator, locate)
        for one, target in zip(seen, drawn, strict=True):
            if isinstance(one, Failed):
                failures.append(str(one.error))
            else:
                bodies = lifter.bodies(one.poses)
                done = Lifted(_found(one, str(one.path)), bodies)
                failures += _refusals(str(one.path), done.found, bodies, lifter)
                lifted.append(done)
                if target and any(bodies):
                    writer.submit(_saving(one, bodies, target))
            progress.advance()
    return lifted, failures + writer.failures


def _saving(seen: Seen, bodies: Sequence[Body | None], target: Path) -> Callable[[], None]:
    return lambda: save_picture(_rows(seen, bodies, turn=TURN), target)


def _rows(
    seen: Seen, bodies: Sequence[Body | None], *, turn: float, rows: int | None = None
) -> np.ndarray:
    """Panels of each lifted person, one below the other; `rows` of them, if that is said."""
    pairs = zip(seen.poses, bodies, strict=True)
    found = [draw_panels(seen.picture, pose, body, turn=turn) for pose, body in pairs if body]
    if rows is not None:
        empty = np.full((SIZE, 4 * SIZE, 3), 255, np.uint8)
        found = (found + [empty] * rows)[:rows]
    return np.concatenate(found, axis=0)


def lift_film(
    source: Source,
    estimator: PoseEstimator,
    lifter: Lifter,
    locate: Locate,
    *,
    drawn: Path | None,
    every: int = 1,
    detects: bool = False,
    smooth: bool = False,
) -> tuple[list[Lifted], list[str]]:
    """Finds and lifts the people in a film, and writes a film of the panels.

    Args:
        source: The film's file, a camera's number, or a stream's address.
        estimator: The 2D network.
        lifter: The lifting network.
        locate: Says where people are.
        drawn: The film to write, or None; it has a row for each person of the first frame.
        every: Take each `every`-th frame only.
        detects: Whether `locate` finds everybody, so that people may come and go.
        smooth: Filter joints against jitter, before and after they are lifted.

    Returns:
        What was lifted, and a line if something failed or nobody could be lifted; frames before it
        are done.

    Raises:
        ValueError: If the film cannot be opened or written.
    """
    film = open_film(source, every=every)
    name = film.name
    lifted: list[Lifted] = []
    failures: list[str] = []
    filters: dict[int | None, OneEuroFilter] = {}
    with ExitStack() as stack:
        writer = None
        if drawn:
            writer = stack.enter_context(FilmWriter(drawn, rate=film.rate, sound=film.sound))
        progress = stack.enter_context(
            Progress(f"lifting {name}", total=film.frames, unit="frames")
        )
        smooth_at = film.rate if smooth else None
        try:
            seen = see_film(
                film, estimator, locate, detects=detects, smooth_at=smooth_at, live=film.live
            )
            for one in seen:
                bodies = lifter.bodies(one.poses)
                if smooth:
                    for pose in one.poses:
                        filters.setdefault(pose.id, OneEuroFilter(film.rate))
                    known = [filters[pose.id] for pose in one.poses]
                    bodies = [_smoothed(*pair) for pair in zip(bodies, known, strict=True)]
                lifted.append(Lifted(_found(one, name), bodies))
                if writer:
                    time = lifted[-1].found.time or 0.0
                    rows = max(1, len(lifted[0].bodies))
                    turn = TURN + DEGREES_PER_SECOND * time
                    writer.write(_rows(one, bodies, turn=turn, rows=rows), time)
                progress.advance()
        except KeyboardInterrupt:
            # A camera has no end but Ctrl-C; what was seen until then is kept.
            failures.append(f"{name}: interrupted")
        except InputError as error:
            if not lifted:
                raise
            failures.append(str(error))
    bodies = [body for one in lifted for body in one.bodies]
    lost = f"{name}: {bodies.count(None)} of {len(bodies)} people in its frames had too few joints"
    if bodies and not any(bodies):
        failures.append(lost)
    elif None in bodies:
        logger.info(lost)
    return lifted, failures


def _smoothed(body: Body | None, smoothing: OneEuroFilter) -> Body | None:
    return body and replace(body, points=smoothing(body.points, size=PERSON))


def _found(seen: Seen, name: str) -> Found:
    height, width = seen.picture.shape[:2]
    frame = seen.frame
    number, time = (frame.number, round(frame.time, 4)) if frame else (None, None)
    return Found(name, width, height, seen.poses, number, time)
