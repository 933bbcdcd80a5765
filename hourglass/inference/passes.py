"""One pass over pictures or a film: finds people, and writes what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import click

from hourglass.core.errors import InputError
from hourglass.core.progress import Progress
from hourglass.core.storage import Place
from hourglass.inference.canvas import Canvas
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.films import see_film
from hourglass.inference.look import Look
from hourglass.inference.pipeline import Failed, Locate, Seen, Writer, see_pictures
from hourglass.media.inputs import Source
from hourglass.media.pictures import save_picture
from hourglass.media.results import Found
from hourglass.media.video import open_film


@dataclass(frozen=True)
class Pass:
    """One pass over films.

    Attributes:
        frames: How many are done.
        failures: A line for each failure.
        interrupted: Whether Ctrl-C ended it.
    """

    frames: int
    failures: list[str]
    interrupted: bool = False


Take = Callable[[Found], object]
"""Gets what was found in a picture or frame, as soon as it is."""


def predict_pictures(
    paths: Sequence[Place],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    drawn: Mapping[Source, Place | None],
    look: Look,
    take: Take,
) -> tuple[int, list[str]]:
    """Finds the people in pictures, and writes the pictures with their skeletons.

    Args:
        paths: Picture files.
        estimator: The network.
        locate: Says where people are.
        drawn: A file to write for each picture, or None.
        look: How they are drawn.
        take: Gets what was found in each picture, in the order given.

    Returns:
        How many are done, and a line for each picture that failed.
    """
    failures, done = [], 0
    with Progress("predicting", total=len(paths), unit="pictures") as progress, Writer() as writer:
        seen = see_pictures(paths, estimator, locate)
        for one, path in zip(seen, paths, strict=True):
            if isinstance(one, Failed):
                failures.append(str(one.error))
            else:
                take(_found(one, str(path)))
                done += 1
                if target := drawn[path]:
                    pixels = one.picture.size // 3
                    writer.submit(_drawing(one, target, look, estimator), pixels=pixels)
            progress.advance()
    return done, failures + writer.failures


def _drawing(seen: Seen, target: Place, look: Look, estimator: PoseEstimator) -> Callable[[], None]:
    return lambda: save_picture(look.draw(seen.picture, seen.poses, estimator), target)


def _found(seen: Seen, name: str) -> Found:
    height, width = seen.picture.shape[:2]
    frame = seen.frame
    number, time = (frame.number, round(frame.time, 4)) if frame else (None, None)
    return Found(name, width, height, seen.poses, number, time)


def predict_films(
    sources: Sequence[Source],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    drawn: Mapping[Source, Place | None],
    look: Look,
    take: Take,
    **choices: Any,
) -> Pass:
    """`predict_film` of film after film; what fails is told, and the others are done.

    Ctrl-C ends them all: the film that is looked at, and those that are still to come.

    Args:
        sources: The films' files, cameras' numbers, or streams' addresses.
        estimator: The network.
        locate: Says where people are.
        drawn: The film to write for each, or None.
        look: How people are drawn.
        take: Gets what was found in each frame.
        **choices: As `predict_film`'s.

    Returns:
        What was done, of all films together.
    """
    done, failures = 0, []
    for number, source in enumerate(sources, start=1):
        try:
            film = predict_film(
                source, estimator, locate, drawn=drawn[source], look=look, take=take, **choices
            )
            done += film.frames
            failures += film.failures
            if film.interrupted:
                return Pass(done, failures + not_begun(sources[number:]), interrupted=True)
        except InputError as error:
            failures.append(str(error))
    return Pass(done, failures)


def not_begun(sources: Sequence[Source]) -> list[str]:
    """A line that says which films were not looked at after Ctrl-C, if there are any."""
    return [f"not looked at: {', '.join(map(str, sources))}"] if sources else []


def predict_film(
    source: Source,
    estimator: PoseEstimator,
    locate: Locate,
    *,
    drawn: Place | None,
    look: Look,
    take: Take,
    every: int = 1,
    detects: bool = False,
    follow: bool = True,
    smooth: bool = False,
    show: bool = False,
) -> Pass:
    """Finds the people in a film, frame by frame, and writes it with their skeletons.

    Args:
        source: The film's file, a camera's number, or a stream's address.
        estimator: The network.
        locate: Says where people are.
        drawn: The film to write, or None.
        look: How people are drawn.
        take: Gets what was found in each frame, in order.
        every: Take each `every`-th frame only.
        detects: Whether `locate` finds everybody, so that people may come and go.
        follow: Let boxes follow from the last frame's joints.
        smooth: Filter joints against jitter.
        show: Show the film in a window while it is made; Q or Escape ends it.

    Returns:
        What was done; a failure after some frames is a line. A camera's end is Ctrl-C: of anything
        else, it is told as one.

    Raises:
        ValueError: If the film cannot be opened, not one frame can be looked at, the film cannot be
            written, or there is no window to show it in.
    """
    film = open_film(source, every=every)
    done, failures, interrupted = 0, [], False
    with ExitStack() as stack:
        canvas = stack.enter_context(Canvas(film, drawn, look, estimator, show=show))
        progress = stack.enter_context(
            Progress(f"predicting {film.name}", total=film.frames, unit="frames")
        )
        seen = see_film(
            film,
            estimator,
            locate,
            detects=detects,
            follow=follow,
            smooth_at=film.rate if smooth else None,
            live=film.live,
        )
        try:
            for one in seen:
                take(_found(one, film.name))
                done += 1
                if not canvas.draw(one):
                    break
                progress.advance()
        except KeyboardInterrupt:
            interrupted = True
            if film.live:
                click.echo("interrupted", err=True)
            else:
                failures.append(f"{film.name}: interrupted after {done} frames, which are kept")
        except InputError as error:
            if not done:
                raise
            failures.append(str(error))
    return Pass(done, failures, interrupted)
