"""Containers are closed to the very same bytes, and what is hostile ends in a coded error within bounds."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs.patch import containers
from content_packs.patch.errors import PatchMalformed
from content_packs.patch.making import make_patch
from tests.support.course import PUBLISHER
from tests.support.trees import write_tree

TEXT = b"".join(b"<p>Sentence %d of the chapter.</p>\n" % number for number in range(500))


def epub(word: bytes, *, level: int = 9) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as book:
        book.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip", zipfile.ZIP_STORED)
        for number in range(20):
            chapter = TEXT[number * 100 :] + (word if number == 7 else b"")
            name = zipfile.ZipInfo(f"chapter{number}.html")
            book.writestr(
                name, random.Random(number).randbytes(500).hex().encode() + chapter, zipfile.ZIP_DEFLATED, level
            )
    return out.getvalue()


def pdf(word: bytes) -> bytes:
    streams = [zlib.compress(TEXT + b"%d" % number + (word if number == 3 else b""), 6) for number in range(9)]
    body = b"".join(
        b"%d 0 obj\n<<>>\nstream\n" % number + one + b"\nendstream\nendobj\n" for number, one in enumerate(streams)
    )
    return b"%PDF-1.7\n" + body + b"%%EOF\n"


def mp4(shift: int) -> bytes:
    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", len(content) + 8, kind) + content

    places = struct.pack(">400I", *((shift + 1000 * number) % 2**32 for number in range(400)))
    table = box(b"stco", struct.pack(">II", 0, 400) + places)
    nested = box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", table)))))
    return box(b"ftyp", b"isom") + nested + box(b"mdat", random.Random(1).randbytes(9_000))


def close_again(data: bytes) -> tuple[bytes, int]:
    """Return what comes out of opening and closing, and how many streams were left alone."""
    kind = containers.kind_of(data[:8])
    assert kind is not None
    recipe = containers.recipe_of(data, kind)
    opened = b"".join(containers.open_container(data, kind, recipe.left))
    return b"".join(containers.close(iter([opened]), recipe.parameters)), len(recipe.left)


@pytest.mark.parametrize("data", [epub(b"a"), epub(b"b", level=1), pdf(b"c"), mp4(77), mp4(2**32 - 9)])
def test_container_closes_to_the_same_bytes(data: bytes) -> None:
    assert close_again(data) == (data, 0)


@pytest.mark.parametrize("ending", ["epub", "h5p", "imscc", "zip"])
def test_containers_of_others_close_to_the_same_bytes(samples: Path, ending: str) -> None:
    found = sorted(path for path in samples.rglob(f"*.{ending}") if path.read_bytes()[:4] == b"PK\x03\x04")
    assert found
    for path in found:
        assert close_again(path.read_bytes())[0] == path.read_bytes(), path.name


@settings(deadline=None)
@given(st.data())
def test_damaged_container_closes_to_the_same_bytes_or_is_left_alone(draw: st.DataObject) -> None:
    data = bytearray(draw.draw(st.sampled_from([epub(b"a"), pdf(b"b"), mp4(5)])))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(12, len(data) - 1))
        data[at] = draw.draw(st.integers(0, 255))
    shortened = bytes(data[: draw.draw(st.integers(12, len(data)))])
    for one in (bytes(data), shortened):
        assert close_again(one)[0] == one


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 5000), max_size=4))
def test_bytes_that_are_no_opened_form_end_in_a_coded_error(data: bytes, parameters: list[int]) -> None:
    def closed(pieces: Iterator[bytes]) -> bytes | None:
        """Return what comes out; None stands for a refusal with a code."""
        try:
            return b"".join(containers.close(pieces, parameters))
        except PatchMalformed:
            return None

    assert closed(iter([data])) == closed(data[at : at + 1] for at in range(len(data)))


def test_stream_over_the_limit_is_refused_before_it_is_read() -> None:
    def steps() -> Iterator[bytes]:
        yield b"\x06\xff\xff\xff\xff\x7f"
        pytest.fail("more was read")

    with pytest.raises(PatchMalformed):
        list(containers.close(steps(), [6]))


def test_bomb_in_an_archive_is_left_alone() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(64 * 1024**2))
        archive.writestr("text", TEXT)
    opened = b"".join(containers.open_container(out.getvalue(), containers.ZIP, ()))
    assert len(opened) < 1024**2
    assert close_again(out.getvalue())[0] == out.getvalue()


@pytest.mark.parametrize(
    ("name", "old", "new", "most_bytes"),
    [
        ("a.epub", epub(b""), epub(b"An added sentence."), 500),
        ("a.pdf", pdf(b""), pdf(b"more"), 500),
        ("a.mp4", mp4(0), mp4(999), 450),
    ],
)
def test_small_edit_in_a_container_is_a_small_patch(
    tmp_path: Path, name: str, old: bytes, new: bytes, most_bytes: int
) -> None:
    first, second = write_tree(tmp_path / "1", {name: old}), write_tree(tmp_path / "2", {name: new}, 2)
    assert make_patch(first, second, tmp_path / "out.ebp", PUBLISHER).size_bytes < most_bytes
