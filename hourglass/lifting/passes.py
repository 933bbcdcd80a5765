"""One pass over pictures, films or files of joints: finds people, lifts them, draws the panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.progress import Progress
from hourglass.core.storage import Place
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.films import see_film
from hourglass.inference.passes import Pass, over_films
from hourglass.inference.pipeline import Failed, Locate, Seen, Writer, see_pictures
from hourglass.inference.smoothing import OneEuroFilter
from hourglass.lifting.estimator import Body, Lifter
from hourglass.lifting.keypoint_files import parse_keypoints, read_keypoints
from hourglass.lifting.panel_film import PanelFilm
from hourglass.lifting.panels import draw_panels
from hourglass.lifting.results import Lifted
from hourglass.media.inputs import Source
from hourglass.media.pictures import save_picture
from hourglass.media.results import to_json
from hourglass.media.video import open_film

TURN = 30.0
"""Degrees that the 3D panel's eye stands beside the camera."""

PERSON = 1700.0
"""Millimetres that speeds are measured in by the filter against jitter."""

Take = Callable[[Lifted], object]
"""Gets what was lifted in a picture or frame, as soon as it is."""


def lift_files(paths: Sequence[Place], lifter: Lifter, *, take: Take) -> list[str]:
    """Lifts the people in files of joints.

    Args:
        paths: The files, or folders of OpenPose's.
        lifter: The lifting network.
        take: Gets what was lifted in each picture or frame.

    Returns:
        A line for each file or person that failed; of films, for each film.
    """
    failures: list[str] = []
    for path in paths:
        films = Films()
        try:
            for found in read_keypoints(path):
                lifted = Lifted(found, lifter.bodies(found.poses))
                take(lifted)
                if found.frame is None:
                    failures += _refusals(found.image, lifted, lifter)
                else:
                    films.add(lifted)
        except InputError as error:
            failures.append(str(error))
        failures += films.failures()
    return failures


class Films:
    """How many people in the frames of films were not lifted: of single frames, nobody is told."""

    def __init__(self) -> None:
        self._people: dict[str, tuple[int, int]] = {}

    def add(self, lifted: Lifted) -> None:
        """Counts a frame's."""
        lost, all_people = self._people.get(lifted.found.image, (0, 0))
        lost += sum(body is None for body in lifted.bodies)
        self._people[lifted.found.image] = lost, all_people + len(lifted.bodies)

    def failures(self) -> list[str]:
        """A line for each film of which nobody was lifted; of which some were not, it is logged."""
        told = []
        for image, (lost, all_people) in self._people.items():
            line = f"{image}: {lost} of {all_people} people in its frames had too few joints"
            if lost and lost == all_people:
                told.append(line)
            elif lost:
                logger.info(line)
        return told


def lift_text(text: str, lifter: Lifter) -> str:
    """JSON of people's joints, as `read_keypoints` takes it, to JSON of them in three dimensions.

    Raises:
        ValueError: If it is no such text.
    """
    found = parse_keypoints(text, where="joints")
    return to_json([Lifted(one, lifter.bodies(one.poses)) for one in found])


def _refusals(where: str, lifted: Lifted, lifter: Lifter) -> list[str]:
    return [
        f"{where}: person {number}: {lifter.refusal(pose)}"
        for number, (pose, body) in enumerate(zip(lifted.found.poses, lifted.bodies, strict=True))
        if body is None
    ]


def lift_pictures(
    paths: Sequence[Place],
    estimator: PoseEstimator,
    lifter: Lifter,
    locate: Locate,
    *,
    drawn: Mapping[Source, Place | None],
    take: Take,
) -> list[str]:
    """Finds and lifts the people in pictures, and writes the panels, a row for each person.

    Args:
        paths: Picture files.
        estimator: The 2D network.
        lifter: The lifting network.
        locate: Says where people are.
        drawn: A file to write for each picture, or None.
        take: Gets what was lifted in each picture, in the order given.

    Returns:
        A line for each picture or person that failed; the others are done.
    """
    failures = []
    with Progress("lifting", total=len(paths), unit="pictures") as progress, Writer() as writer:
        seen = see_pictures(paths, estimator, locate)
        for one, path in zip(seen, paths, strict=True):
            if isinstance(one, Failed):
                failures.append(str(one.error))
            else:
                bodies = lifter.bodies(one.poses)
                done = Lifted(one.found(str(path)), bodies)
                failures += _refusals(str(path), done, lifter)
                take(done)
                target = drawn[path]
                if target and any(bodies):
                    writer.submit(_saving(one, bodies, target), pixels=one.picture.size // 3)
            progress.advance()
    return failures + writer.failures


def _saving(seen: Seen, bodies: Sequence[Body | None], target: Place) -> Callable[[], None]:
    return lambda: save_picture(_rows(seen, bodies), target)


def _rows(seen: Seen, bodies: Sequence[Body | None]) -> np.ndarray:
    """Panels of each lifted person, one below the other."""
    pairs = zip(seen.poses, bodies, strict=True)
    rows = [draw_panels(seen.picture, pose, body, turn=TURN) for pose, body in pairs if body]
    return np.concatenate(rows, axis=0)


def lift_films(
    sources: Sequence[Source],
    estimator: PoseEstimator,
    lifter: Lifter,
    locate: Locate,
    *,
    drawn: Mapping[Source, Place | None],
    take: Take,
    **choices: Any,
) -> list[str]:
    """`lift_film` of film after film, by `over_films`.

    Args:
        sources: The films' files, cameras' numbers, or streams' addresses.
        estimator: The 2D network.
        lifter: The lifting network.
        locate: Says where people are.
        drawn: The film to write for each, or None.
        take: Gets what was lifted in each frame.
        **choices: As `lift_film`'s.

    Returns:
        A line for each failure.
    """
    return over_films(
        sources,
        lambda source: lift_film(
            source, estimator, lifter, locate, drawn=drawn[source], take=take, **choices
        ),
    ).failures


def lift_film(
    source: Source,
    estimator: PoseEstimator,
    lifter: Lifter,
    locate: Locate,
    *,
    drawn: Place | None,
    take: Take,
    every: int = 1,
    detects: bool = False,
    smooth: bool = False,
) -> Pass:
    """Finds and lifts the people in a film, and writes a film of the panels.

    Args:
        source: The film's file, a camera's number, or a stream's address.
        estimator: The 2D network.
        lifter: The lifting network.
        locate: Says where people are.
        drawn: The film to write, or None.
        take: Gets what was lifted in each frame, in order.
        every: Take each `every`-th frame only.
        detects: Whether `locate` finds everybody, so that people may come and go.
        smooth: Filter joints against jitter, before and after they are lifted.

    Returns:
        What was done; a failure after some frames, as `Pass.over` says, or that nobody could be
        lifted, is a line.

    Raises:
        ValueError: If the film cannot be opened, not one frame can be looked at, or the film of
            the panels cannot be written.
    """
    film = open_film(source, every=every)
    done = Pass()
    films, steady = Films(), Steady(film.rate) if smooth else None
    with ExitStack() as stack:
        panels = stack.enter_context(PanelFilm(drawn, film, turn=TURN)) if drawn else None
        progress = stack.enter_context(
            Progress(f"lifting {film.name}", total=film.frames, unit="frames")
        )
        smooth_at = film.rate if smooth else None
        seen = see_film(
            film, estimator, locate, detects=detects, smooth_at=smooth_at, live=film.live
        )
        with done.over(film):
            for one in seen:
                bodies = lifter.bodies(one.poses)
                if steady:
                    bodies = steady(one, bodies)
                lifted = Lifted(one.found(film.name), bodies)
                with done.frame():
                    take(lifted)
                    films.add(lifted)
                if panels:
                    panels.add(one, bodies)
                progress.advance()
    done.failures += films.failures()
    return done


class Steady:
    """Filters everybody's joints in space against jitter, each person's by themselves.

    Args:
        rate: Frames per second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._filters: dict[int | None, OneEuroFilter] = {}

    def __call__(self, seen: Seen, bodies: Sequence[Body | None]) -> list[Body | None]:
        """The bodies of the next frame; one who was not there in the last begins anew."""
        known = self._filters
        ids = [pose.id for pose in seen.poses]
        self._filters = {own: known.get(own) or OneEuroFilter(self._rate) for own in ids}
        filters = [self._filters[own] for own in ids]
        return [_smoothed(*pair) for pair in zip(bodies, filters, strict=True)]


def _smoothed(body: Body | None, smoothing: OneEuroFilter) -> Body | None:
    return body and replace(body, points=smoothing(body.points, size=PERSON))
