"""One pass over pictures or a film: finds people, and writes what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from hourglass.core.progress import Progress
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.look import Look
from hourglass.inference.pipeline import AHEAD, Failed, Locate, Seen, Writer, see_film, see_pictures
from hourglass.media.film_writer import FilmWriter
from hourglass.media.inputs import Source
from hourglass.media.pictures import save_picture
from hourglass.media.results import Found
from hourglass.media.video import open_film
from hourglass.media.window import Window


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


def predict_films(
    sources: Sequence[Source],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    drawn: Mapping[Source, Path | None],
    look: Look,
    **choices: Any,
) -> tuple[list[Found], list[str]]:
    """`predict_film` of film after film; what fails is told, and the others are done.

    Args:
        sources: The films' files, or cameras' numbers.
        estimator: The network.
        locate: Says where people are at first, and when one is lost.
        drawn: The film to write for each, or None.
        look: How people are drawn.
        **choices: As `predict_film`'s.

    Returns:
        What was found in all frames, and a line for each failure.
    """
    found: list[Found] = []
    failures: list[str] = []
    for source in sources:
        try:
            more, failed = predict_film(
                source, estimator, locate, drawn=drawn[source], look=look, **choices
            )
            found += more
            failures += failed
        except ValueError as error:
            failures.append(str(error))
    return found, failures


def predict_film(
    source: Source,
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
        source: The film's file, a camera's number, or a stream's address.
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
    film = open_film(source, every=every)
    found: list[Found] = []
    failures = []
    with ExitStack() as stack:
        writer = None
        if drawn:
            writer = stack.enter_context(
                FilmWriter(drawn, rate=film.rate, sound=film.sound, pixel_aspect=film.pixel_aspect)
            )
        window = stack.enter_context(Window()) if show else None
        progress = stack.enter_context(
            Progress(f"predicting {film.name}", total=film.frames, unit="frames")
        )
        smooth_at = film.rate if smooth else None
        ahead = 1 if film.live else AHEAD
        seen = see_film(film, estimator, locate, follow=follow, smooth_at=smooth_at, ahead=ahead)
        try:
            for one in seen:
                found.append(_found(one, film.name))
                if writer or window:
                    picture = look.draw(one.picture, one.poses, estimator)
                    if writer:
                        writer.write(picture, one.frame.time if one.frame else None)
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
