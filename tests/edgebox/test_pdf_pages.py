"""Pages of PDF documents, and what hostile ones can do: fail, alone."""

import asyncio
import errno
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from content_packs.base import atomic
from edgebox.services.pdf_pages import DocumentUnreadable, PdfPage, PdfPages
from tests.support.pdf import make_pdf

# Children that do not do what they should stand for one that a document has broken into.
CHILD = "import sys, time, os, json; task = sys.argv[1]; row = {'width': 10, 'height': 10, 'text': ''}; "


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "d0"
    path.write_bytes(make_pdf(["One", "Two", "Three"]))
    return path


@pytest.fixture
def pages(tmp_path: Path) -> PdfPages:
    return PdfPages(tmp_path / "cache")


async def test_an_outline_has_size_and_text_of_every_page(pages: PdfPages, document: Path) -> None:
    assert await pages.outline(document) == [PdfPage(1000, 1416, text) for text in ("One", "Two", "Three")]


async def test_a_page_is_a_small_picture_of_the_size_in_the_outline(pages: PdfPages, document: Path) -> None:
    outline = await pages.outline(document)
    content = await pages.picture(document, 2)
    assert content is not None
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.width, image.height) == ("WEBP", outline[1].width, outline[1].height)
        assert image.convert("L").getextrema() == (0, 255)
    assert len(content) < 10_000


async def test_a_page_that_was_made_is_not_made_again(pages: PdfPages, document: Path, tmp_path: Path) -> None:
    first = await pages.picture(document, 1)
    broken = PdfPages(tmp_path / "cache", ("-c", "raise SystemExit(1)"))
    assert await broken.picture(document, 1) == first
    with pytest.raises(DocumentUnreadable):
        await broken.picture(document, 2)


@pytest.mark.parametrize("page_no", [0, -1, 4, 10**9])
async def test_a_page_the_document_does_not_have_is_nothing(pages: PdfPages, document: Path, page_no: int) -> None:
    assert await pages.picture(document, page_no) is None


@pytest.mark.parametrize("size", ["1 1", "14400 14400", "1 14400", "14400 1", "1e9 1e9"])
async def test_pages_of_odd_sizes_become_pictures_of_bounded_size(pages: PdfPages, tmp_path: Path, size: str) -> None:
    path = tmp_path / "odd"
    await asyncio.to_thread(path.write_bytes, make_pdf(["x"], size=size))
    (page,) = await pages.outline(path)
    assert 1 <= page.width <= 1001
    assert 1 <= page.height <= 4001
    assert await pages.picture(path, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.7",
        b"\x00" * 100_000,
        make_pdf(["x"])[:200],
        b"<html>" * 100,
        make_pdf(["x"]).replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]"),
    ],
)
async def test_what_is_no_document_is_refused_with_a_code(pages: PdfPages, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad"
    await asyncio.to_thread(path.write_bytes, content)
    with pytest.raises(DocumentUnreadable) as caught:
        await pages.picture(path, 1) or pytest.fail("a page of nothing")
    assert caught.value.code == "library.document_unreadable"


async def test_a_document_that_unpacks_to_gigabytes_dies_alone(tmp_path: Path, document: Path) -> None:
    pages = PdfPages(tmp_path / "cache", child_seconds=40)
    path = tmp_path / "bomb"
    await asyncio.to_thread(_write_bomb, path)
    with pytest.raises(DocumentUnreadable):
        await pages.picture(path, 1)
    assert await pages.picture(document, 1)


def _write_bomb(path: Path) -> None:
    path.write_bytes(make_pdf(["x"], stream=b"0 0 m 1 1 l S\n" * 20_000_000))


@pytest.mark.parametrize(
    "does",
    [
        "time.sleep(100)",
        "print('x' * 50_000_000)",
        "print('not what was asked for')",
        "print(json.dumps([{'width': 10**9, 'height': 1, 'text': ''}]))",
        "print(json.dumps([row | {'more': 1}]))",
        "print('[' * 100_000)",
        "os.kill(os.getpid(), 9)",
    ],
)
async def test_a_child_that_misbehaves_is_stopped_and_not_believed(tmp_path: Path, document: Path, does: str) -> None:
    pages = PdfPages(tmp_path / "cache", ("-c", CHILD + does), child_seconds=1.0)
    with pytest.raises(DocumentUnreadable):
        await pages.outline(document)


async def test_what_failed_once_is_not_tried_again(tmp_path: Path, document: Path) -> None:
    count = tmp_path / "count"
    pages = PdfPages(tmp_path / "cache", ("-c", f"open({str(count)!r}, 'a').write('x'); raise SystemExit(1)"))
    for _ in range(3):
        with pytest.raises(DocumentUnreadable):
            await pages.outline(document)
    assert await asyncio.to_thread(count.read_text) == "x"


async def test_many_who_ask_for_one_page_share_one_child(tmp_path: Path, document: Path) -> None:
    count = tmp_path / "count"
    does = f"open({str(count)!r}, 'a').write('x'); print(json.dumps([row]))"
    pages = PdfPages(tmp_path / "cache", ("-c", CHILD + does))
    await asyncio.gather(*(pages.outline(document) for _ in range(10)))
    assert await asyncio.to_thread(count.read_text) == "x"


async def test_the_cache_forgets_the_oldest_pages(tmp_path: Path, document: Path) -> None:
    pages = PdfPages(tmp_path / "cache", cache_max_bytes=10_000)
    for page_no in (1, 2, 3):
        await pages.picture(document, page_no)
    kept = await asyncio.to_thread(lambda: sorted((tmp_path / "cache").iterdir()))
    assert sum(path.stat().st_size for path in kept) <= 10_000
    assert document.with_name("cache") / "d0-3.webp" in kept


def test_the_child_has_no_way_out_once_it_looks_at_the_document() -> None:
    probe = """
import os, socket, sys
from content_packs.base.limited import give_up_rights
give_up_rights(memory_max_bytes=512 * 1024**2, cpu_max_seconds=20)
ways = {
    "read": lambda: open("/etc/hostname"),
    "write": lambda: open("/tmp/edgebox-probe", "w"),
    "socket": lambda: socket.socket(),
    "pipe": lambda: os.pipe(),
    "memory": lambda: bytearray(1 << 30),
}
for name, way in ways.items():
    try:
        way()
    except (OSError, MemoryError):
        continue
    sys.stdout.write(name)
sys.stdout.flush()
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)
    assert done.stdout == ""


async def test_a_page_that_took_too_long_once_is_tried_again(document: Path, tmp_path: Path) -> None:
    slow = PdfPages(tmp_path / "cache", ("-c", CHILD + "time.sleep(100)"), child_seconds=0.3)
    with pytest.raises(DocumentUnreadable):
        await slow.picture(document, 1)
    slow._child = PdfPages(tmp_path / "cache")._child
    slow._child_seconds = 60
    assert await slow.picture(document, 1)


async def test_a_page_is_shown_though_it_cannot_be_kept(
    pages: PdfPages, document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "disk full", str(path))

    monkeypatch.setattr(atomic, "write_file", refuse)
    assert await pages.picture(document, 1)
