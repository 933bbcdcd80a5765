"""The damage that is done: kills, full disks, folders that cannot be written, spoilt bytes.

Each wing's folder here holds what its rooms must bear; docs/RELIABILITY.md has the table.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

PATIENCE = 1800
"""Seconds after which a process is taken for hung; a busy machine takes minutes to begin one."""

LOOKS = 0.005
"""Seconds between two looks at a process that is to be killed."""


# Kills


class Camera:
    """Copies a folder before each step by which Python changes it: what a kill there would leave.

    Steps are files opened for writing, renamed and removed. `with camera(folder, into):` takes the
    copies, as `into/0000`, `into/0001` and so on.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._into: Path | None = None
        self._count = 0
        sys.addaudithook(self._see)  # which cannot be taken off again

    @contextlib.contextmanager
    def __call__(self, folder: Path, into: Path) -> Iterator[None]:
        into.mkdir()
        self._folder, self._into, self._count = folder, into, 0
        try:
            yield
        finally:
            self._folder = None

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        folder = self._folder
        if folder is None or event not in ("open", "os.rename", "os.remove"):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not str(os.fsdecode(path)).startswith(f"{folder}{os.sep}"):
            return
        self._folder = None
        shutil.copytree(folder, self._into / f"{self._count:04d}")
        self._count += 1
        self._folder = folder


@pytest.fixture(scope="session")
def camera() -> Camera:
    return Camera()


class Group(subprocess.Popen[str]):
    """A command in a group of its own, of which `kill` ends every process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._began = time.monotonic()

    def spent(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


@pytest.fixture
def started() -> Iterator[list[Group | Forked]]:
    """The processes that a test starts; they are ended at its end."""
    processes: list[Group | Forked] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def command(started: list[Group | Forked]) -> Callable[..., Group]:
    """`command("hourglass.train", "--data", ...)`: an interpreter of its own, ended at the end."""

    def start(module: str, *arguments: object, **variables: str) -> Group:
        process = Group(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    return start


@pytest.fixture
def finished(command: Callable[..., Group]) -> Callable[..., str]:
    """`finished("hourglass.train", ...)`: what a command that must succeed prints."""

    def run(module: str, *arguments: object, **variables: str) -> str:
        process = command(module, *arguments, **variables)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        return output

    return run


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """`wait_until(holds, process)`: waits until `holds()`, which must be before its end."""

    def wait(holds: Callable[[], bool], process: Group) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "it hangs"
            time.sleep(0.1)

    return wait


IMPORTED = (
    *("hourglass.training.run", "hourglass.scoring.report", "hourglass.exporting.parity"),
    *("tensorflow.lite.python.lite", "ai_edge_litert.interpreter", "av"),
)
"""What takes commands seconds to import; no command's own module, which Python runs only once."""

FORKED = """
import os, runpy, sys

os.chdir(root)
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
file = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
os.dup2(file, 1)
os.dup2(file, 2)
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""What a forked process runs, as `python -m` would."""


class Forked:
    """A command in a process forked from one that has imported what takes long; as `Popen`."""

    def __init__(self, output: Path, module: str, *arguments: object) -> None:
        names = {
            "root": str(ROOT),
            "output": str(output),
            "module": module,
            "arguments": [str(one) for one in arguments],
        }
        context = multiprocessing.get_context("forkserver")
        self._process = context.Process(target=exec, args=(FORKED, names))
        self._output = output
        self._spent = 0.0
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def spent(self) -> float:
        """Seconds of a processor that it took: as many, however busy the machine is."""
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            self._spent = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
        return self._spent

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self.wait(timeout)
        assert self.returncode is not None, "it hangs"
        return self._output.read_text(errors="replace"), None


@pytest.fixture(scope="session")
def fork_server() -> None:
    """The process that others are forked from, after its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        process = context.Process(target=str)
        process.start()
    process.join()
    assert process.exitcode == 0


@pytest.fixture
def forked(
    fork_server: None, started: list[Group | Forked], tmp_path: Path
) -> Callable[..., Forked]:
    """`forked("hourglass.train", "--data", ...)`: as `command`, but within a fraction of a second.

    The process is forked from one that has imported TensorFlow, but has run nothing.
    """

    def start(module: str, *arguments: object) -> Forked:
        process = Forked(tmp_path / f"output_{len(started)}.txt", module, *arguments)
        started.append(process)
        return process

    return start


@pytest.fixture
def undisturbed(forked: Callable[..., Forked]) -> Callable[..., tuple[float, float]]:
    """`undisturbed("hourglass.train", ..., begun=path)`: runs a forked command that must succeed.

    Gives what it had `spent` when the file `begun` appeared, or 0, and at its end.
    """

    def run(module: str, *arguments: object, begun: Path | None = None) -> tuple[float, float]:
        process, first, last = forked(module, *arguments), 0.0, 0.0
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None:
            assert time.monotonic() < deadline, "it hangs"
            last = process.spent()
            if begun and not begun.exists():
                first = last
            time.sleep(LOOKS)
        assert process.returncode == 0, process.communicate()[0]
        return first, last

    return run


def still_runs_at(moment: float, process: Group | Forked) -> bool:
    """Lets a process go on until it has `spent` so many seconds; False if it ends before."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        if process.spent() >= moment:
            return True
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(LOOKS)
    return False


@pytest.fixture
def killed_at_random() -> Callable[..., int]:
    """Kills a command again and again, as a machine would that loses its power.

    `killed_at_random(start, span, look, fresh, kills=20)`: calls `start()`, which gives a process
    of `command` or `forked`, waits until it has `spent` a random part of `span`, sends SIGKILL to
    all of its processes and calls `look()`. The next process goes on with what is there. When one
    ends before its kill, `fresh()` compares what came of it, and clears it away. Gives the number
    of fresh starts.
    """

    def kill(
        start: Callable[[], Group | Forked],
        span: tuple[float, float],
        look: Callable[[], None],
        fresh: Callable[[], None],
        *,
        kills: int = 20,
        seed: int = 0,
    ) -> int:
        moments, done, ended = random.Random(seed), 0, 0
        while done < kills:
            process = start()
            if still_runs_at(moments.uniform(*span), process):
                process.kill()
                process.communicate(timeout=PATIENCE)
                look()
                done += 1
            else:
                assert process.returncode == 0, process.communicate()[0]
                fresh()
                ended += 1
        process = start()
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        fresh()
        print(f"{kills} kills at {span[0]:.1f} to {span[1]:.1f} s, {ended + 1} runs ended")
        return ended + 1

    return kill


# Memory


class Watch:
    """Looks at a process while it runs: resident memory (MB), open files, and its children.

    Attributes:
        seen: (memory, files, children) at each look.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.seen: list[tuple[float, int, int]] = []

    def look(self) -> None:
        """Adds what there is now, unless the process has ended."""
        place = Path("/proc") / str(self._process.pid)
        with contextlib.suppress(OSError, ValueError):
            pages = int((place / "statm").read_text().split()[1])
            children = (place / "task" / str(self._process.pid) / "children").read_text().split()
            memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
            if memory:  # else it has ended, and is not waited for yet
                self.seen.append((memory, len(list((place / "fd").iterdir())), len(children)))

    def until_its_end(self, seconds: float, every: float = 0.5) -> None:
        """Looks again and again."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < deadline, "it hangs"
            self.look()
            time.sleep(every)

    def growth(self, first: float = 0.4) -> float:
        """MB that memory grew by from `first` of the looks to the last tenth, where it ends.

        Medians of a tenth of the looks each: what is freed and taken again does not count.
        """
        memory = [one for one, _, _ in self.seen]
        tenth = max(1, len(memory) // 10)
        start, end = int(first * len(memory)), len(memory) - tenth
        earlier, later = memory[start : start + tenth], memory[end - tenth : end]
        return statistics.median(later) - statistics.median(earlier)


@pytest.fixture(scope="session")
def watch() -> Callable[[subprocess.Popen[str]], Watch]:
    return Watch


# Disks


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`tmpfs(size)`: a folder that holds no more than so many bytes."""
    mounted: list[Path] = []

    def mount(size: int, name: str = "disk") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        mounted.append(folder)
        return folder

    yield mount
    _unmount(mounted)


@pytest.fixture(scope="session")
def leave_free() -> Callable[[Path, int], None]:
    """`leave_free(folder, count)`: fills the disk but for so many bytes, in whole pages."""

    def fill(folder: Path, count: int) -> None:
        filler = folder / ".filler"
        filler.unlink(missing_ok=True)
        disk = os.statvfs(folder)
        size = disk.f_bavail * disk.f_frsize - count
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    return fill


@pytest.fixture(scope="session")
def seen_in() -> Callable[[Path], dict[str, bytes]]:
    """`seen_in(folder)`: the files in it, by their names, but for hidden ones."""

    def look(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }

    return look


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], Path]]:
    """`read_only(folder)`: makes it so that not even root may write into it."""
    mounted: list[Path] = []

    def mount(folder: Path) -> Path:
        _mount("--bind", str(folder), str(folder))
        mounted.append(folder)
        _mount("-o", "remount,bind,ro", str(folder))
        return folder

    yield mount
    _unmount(mounted)


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the command mount")
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr.strip()}")


def _unmount(folders: list[Path]) -> None:
    for folder in reversed(folders):
        subprocess.run(["umount", "-l", str(folder)], check=True)


# Bytes


@pytest.fixture(scope="session")
def spoil() -> Callable[[bytes, random.Random], bytes]:
    """`spoil(data, rng)`: the bytes with some changed, cut, doubled, moved or gone."""

    def spoilt(data: bytes, rng: random.Random) -> bytes:
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            if not changed:
                break
            place = rng.randrange(len(changed))
            length = min(rng.choice((1, 4, 64, 1024)), len(changed) - place)
            how = rng.randrange(6)
            if how == 0:
                changed[place] ^= 1 << rng.randrange(8)
            elif how == 1:
                changed[place : place + length] = rng.randbytes(length)
            elif how == 2:
                del changed[place:]
            elif how == 3:
                del changed[place : place + length]
            elif how == 4:
                changed[place:place] = changed[place : place + length]
            else:
                changed[place : place + length] = bytes(length)
        return bytes(changed)

    return spoilt
