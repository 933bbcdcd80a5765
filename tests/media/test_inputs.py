"""What a command is asked to look at: nothing named is left out, and nothing is taken twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hourglass.core.storage import Url
from hourglass.media.inputs import FILM_SUFFIXES, PICTURE_SUFFIXES, find_inputs


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def touch() -> Callable[..., None]:
    """`touch(*names)` makes empty files: here only names count."""

    def make(*names: str) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return make


def paths(*names: str) -> tuple[Path, ...]:
    return tuple(map(Path, names))


# Pictures.


def test_pictures_come_in_the_order_given():
    # Whether they are there is found when they are read, so that one missing stops no other.
    assert find_inputs(["c.jpg", "a.png", "b"]).pictures == paths("c.jpg", "a.png", "b")
    assert find_inputs(["c.jpg"]).films == ()


def test_a_picture_named_twice_is_looked_at_once(touch: Callable[..., None]):
    touch("some/a.jpg", "some/b.jpg")
    found = find_inputs(["some/b.jpg", "some", "./some/a.jpg", "some/*.jpg"])
    assert found.pictures == paths("some/b.jpg", "some/a.jpg")


def test_a_picture_that_is_named_may_be_called_anything(touch: Callable[..., None]):
    touch("picture", "photo.heic", "2024")
    assert find_inputs(["picture", "photo.heic", "2024"]).pictures == paths(
        "picture", "photo.heic", "2024"
    )


def test_no_arguments_name_nothing():
    found = find_inputs([])
    assert (found.pictures, found.films) == ((), ())


def test_an_address_is_a_stream():
    found = find_inputs(["rtsp://127.0.0.1/live", "http://127.0.0.1/a[1].mp4?x=*"])
    assert found.films == ("rtsp://127.0.0.1/live", "http://127.0.0.1/a[1].mp4?x=*")
    assert found.pictures == ()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_a_picture_that_moves_is_a_film(suffix: str):
    still, moving = Path(f"still{suffix}"), Path(f"moving{suffix}")
    frames = [Image.new("RGB", (32, 32), (80 * number, 0, 0)) for number in range(3)]
    frames[0].save(still)
    frames[0].save(moving, save_all=True, append_images=frames[1:], duration=100)
    found = find_inputs([str(moving), str(still)])
    assert (found.pictures, found.films) == ((still,), (moving,))


def test_the_pages_of_a_document_are_no_film():
    frames = [Image.new("RGB", (32, 32), (80 * number, 0, 0)) for number in range(3)]
    frames[0].save("pages.tif", save_all=True, append_images=frames[1:])
    assert find_inputs(["pages.tif"]).films == ()


# Folders.


def test_hidden_files_and_folders_are_not_searched(touch: Callable[..., None]):
    touch("some/a.jpg", "some/.b.jpg", "some/.cache/c.jpg", "some/deep/d.jpg", ".x/e.jpg")
    assert find_inputs(["some"], recursive=True).pictures == paths("some/a.jpg", "some/deep/d.jpg")
    # One that is named itself is looked at.
    assert find_inputs([".x", "some/.b.jpg"]).pictures == paths(".x/e.jpg", "some/.b.jpg")


def test_a_folder_is_its_pictures_in_order(touch: Callable[..., None]):
    touch("some/b.jpg", "some/A.PNG", "some/c.JpEg", "some/notes.txt", "some/film.mp4", "some/jpg")
    assert find_inputs(["some"]).pictures == paths("some/A.PNG", "some/b.jpg", "some/c.JpEg")


def test_a_folders_films_are_found_beside_its_pictures(touch: Callable[..., None]):
    touch("some/b.mp4", "some/a.jpg", "some/c.AVI", "some/notes.txt")
    found = find_inputs(["some"])
    assert found.pictures == (Path("some/a.jpg"),)
    assert found.films == (Path("some/b.mp4"), Path("some/c.AVI"))


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_kind_of_picture_is_found_in_a_folder(suffix: str, touch: Callable[..., None]):
    touch(f"some/a{suffix}")
    assert find_inputs(["some"]).pictures == paths(f"some/a{suffix}")


def test_folders_inside_folders_are_searched_on_demand(touch: Callable[..., None]):
    touch("some/a.jpg", "some/x/b.jpg", "some/x/y/c.jpg", "some/x/y/d.txt")
    assert find_inputs(["some"]).pictures == paths("some/a.jpg")
    deep = find_inputs(["some"], recursive=True)
    assert deep.pictures == paths("some/a.jpg", "some/x/b.jpg", "some/x/y/c.jpg")


def test_a_folder_without_pictures_is_told(touch: Callable[..., None]):
    touch("some/notes.txt", "some/below/a.jpg")
    with pytest.raises(
        ValueError, match=r"^some: no pictures or films in this folder; --recursive would"
    ):
        find_inputs(["a.jpg", "some"])
    Path("none").mkdir()
    with pytest.raises(ValueError, match=r"^none: no pictures or films in this folder$"):
        find_inputs(["none"], recursive=True)


# Patterns.


def test_a_pattern_is_what_it_matches_in_order(touch: Callable[..., None]):
    touch("p2.jpg", "p1.jpg", "p1.png", "q.jpg", "deep/er/p3.jpg")
    assert find_inputs(["p*.jpg"]).pictures == paths("p1.jpg", "p2.jpg")
    assert find_inputs(["p?.png", "[q].jpg"]).pictures == paths("p1.png", "q.jpg")
    assert Path("deep/er/p3.jpg") in find_inputs(["**/p*.jpg"]).pictures


def test_a_pattern_may_match_folders_and_films(touch: Callable[..., None]):
    touch("day1/a.jpg", "day2/b.jpg", "day3.mp4")
    found = find_inputs(["day*"])
    assert found.pictures == paths("day1/a.jpg", "day2/b.jpg")
    assert found.films == paths("day3.mp4")


def test_a_file_called_like_a_pattern_is_itself(touch: Callable[..., None]):
    touch("a[1].jpg", "a1.jpg")
    assert find_inputs(["a[1].jpg"]).pictures == paths("a[1].jpg")


def test_a_pattern_that_matches_nothing_is_told():
    with pytest.raises(ValueError, match=r"^p\*\.jpg: no file matches this pattern$"):
        find_inputs(["p*.jpg"])


# A list.


def test_a_list_stands_where_its_dash_does(touch: Callable[..., None]):
    touch("some/x.jpg", "p1.jpg", "with space.jpg")
    lines = ["b.jpg\n", "\n", "  some\r\n", "p*.jpg\n", "with space.jpg\n", "film.avi"]
    found = find_inputs(["first.jpg", "-", "last.jpg"], listed=lines)
    assert found.pictures == paths(
        "first.jpg", "b.jpg", "some/x.jpg", "p1.jpg", "with space.jpg", "last.jpg"
    )
    assert found.films == paths("film.avi")


def test_without_a_dash_no_list_is_read():
    def lines():
        raise AssertionError("read")
        yield

    assert find_inputs(["a.jpg"], listed=lines()).pictures == paths("a.jpg")


@pytest.mark.parametrize("lines", [[], ["\n", "   \n"]])
def test_an_empty_list_is_told(lines: list[str]):
    with pytest.raises(ValueError, match=r"^-: the list on standard input is empty"):
        find_inputs(["-"], listed=lines)


# Films and cameras.


@pytest.mark.parametrize("suffix", sorted(FILM_SUFFIXES))
def test_films_are_told_by_their_endings(suffix: str):
    found = find_inputs([f"a{suffix}", "b.jpg", f"C{suffix.upper()}", f"a{suffix}"])
    assert found.films == paths(f"a{suffix}", f"C{suffix.upper()}")
    assert found.pictures == paths("b.jpg")


def test_a_number_is_a_camera_unless_a_file_is_called_so(touch: Callable[..., None]):
    touch("1", "3/a.jpg")
    found = find_inputs(["0", "1", "2", "3", "0"])
    assert found.films == (0, 2)
    assert found.pictures == paths("1", "3/a.jpg")


@pytest.mark.parametrize("name", ["-1", "1.5", "0x1", "²"])
def test_other_numbers_are_no_cameras(name: str):
    assert find_inputs([name]).films == ()


def test_what_is_not_at_its_url_is_left_to_whoever_reads_it(memory: Url):
    assert find_inputs([f"{memory}/none.gif"]).pictures == (memory / "none.gif",)
