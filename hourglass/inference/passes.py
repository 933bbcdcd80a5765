"""One pass over pictures or a film: finds people, and writes what is drawn."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

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
from hourglass.media.video import Reader, open_film


@dataclass
class Pass:
    """One pass over a film, or over several.

    Attributes:
        frames: How many are done.
        failures: A line for each failure.
        interrupted: Whether Ctrl-C ended it.
    """

    frames: int = 0
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False

    @contextlib.contextmanager
    def frame(self) -> Iterator[None]:
        """Counts a frame that the body keeps. Ctrl-C waits for the body's end, so that every file
        has the frames that are counted, and no others."""
        with _ctrl_c_waits():
            yield
            self.frames += 1

    @contextlib.contextmanager
    def over(self, film: Reader) -> Iterator[None]:
        """Lets a failure, or Ctrl-C, end the frames that the body goes over: those before are kept.

        A camera has no other end than Ctrl-C; of anything else, it is told as a failure.

        Raises:
            ValueError: If not one frame is done.
        """
        try:
            yield
        except KeyboardInterrupt:
            self.interrupted = True
            if film.live:
                logger.info("interrupted")
            else:
                self.failures.append(
                    f"{film.name}: interrupted after {self.frames} frames, which are kept"
                )
        except InputError as error:
            if not self.frames:
                raise
            self.failures.append(str(error))


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Holds Ctrl-C, and the signal that is taken for it, back until the body has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    came: list[tuple[Any, ...]] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handled = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda *received: came.append(received))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        for number, stack in came[:1]:
            handled[number](number, stack)


def over_films(sources: Sequence[Source], look: Callable[[Source], Pass]) -> Pass:
    """Film after film: what fails is told, and the others are done.

    Ctrl-C ends them all: the film that is looked at, and those that are still to come.

    Args:
        sources: The films' files, cameras' numbers, or streams' addresses.
        look: Looks at one.

    Returns:
        What was done, of all together.
    """
    done = Pass()
    for number, source in enumerate(sources, start=1):
        try:
            film = look(source)
        except InputError as error:
            done.failures.append(str(error))
            continue
        done.frames += film.frames
        done.failures += film.failures
        if film.interrupted:
            done.interrupted = True
            left = ", ".join(map(str, sources[number:]))
            done.failures += [f"not looked at: {left}"] if left else []
            break
    return done


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
                take(one.found(str(path)))
                done += 1
                if target := drawn[path]:
                    pixels = one.picture.size // 3
                    writer.submit(_drawing(one, target, look, estimator), pixels=pixels)
            progress.advance()
    return done, failures + writer.failures


def _drawing(seen: Seen, target: Place, look: Look, estimator: PoseEstimator) -> Callable[[], None]:
    return lambda: save_picture(look.draw(seen.picture, seen.poses, estimator), target)


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
    """`predict_film` of film after film, by `over_films`.

    Args:
        sources: The films' files, cameras' numbers, or streams' addresses.
        estimator: The network.
        locate: Says where people are.
        drawn: The film to write for each, or None.
        look: How people are drawn.
        take: Gets what was found in each frame.
        **choices: As `predict_film`'s.
    """
    return over_films(
        sources,
        lambda source: predict_film(
            source, estimator, locate, drawn=drawn[source], look=look, take=take, **choices
        ),
    )


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
        What was done; a failure after some frames is a line, as `Pass.over` says.

    Raises:
        ValueError: If the film cannot be opened, not one frame can be looked at, the film cannot be
            written, or there is no window to show it in.
    """
    film = open_film(source, every=every)
    done = Pass()
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
        with done.over(film):
            for one in seen:
                with done.frame():
                    take(one.found(film.name))
                if not canvas.draw(one):
                    break
                progress.advance()
    return done
