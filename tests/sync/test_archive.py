"""One file to carry: any tar reads it, it is read however it arrives, and nothing in it is believed."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.bundle.errors import BundleMalformed
from sync.bundle.limits import FILE_MAX_BYTES
from sync.transport import archive
from sync.transport.archive import ArchiveReader, Begun, Whole


def packed(files: dict[str, bytes]) -> bytes:
    """Return an archive as our own side makes it."""
    parts = []
    for name, content in files.items():
        parts += [archive.member_header(PurePosixPath(name), len(content)), content, archive.padding(len(content))]
    return b"".join([*parts, archive.END])


def read(content: bytes, step_bytes: int = 1 << 20, *, keep: bool = True) -> Iterator[Begun | Whole]:
    reader = ArchiveReader()
    for start in range(0, len(content), step_bytes):
        for found in reader.feed(content[start : start + step_bytes]):
            reader.keep = keep
            yield found
    for found in reader.finish():
        reader.keep = keep
        yield found


def whole(content: bytes, step_bytes: int = 1 << 20) -> dict[str, bytes]:
    return {found.name: found.content for found in read(content, step_bytes) if isinstance(found, Whole)}


def by_tarfile(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        return {member.name: (opened.extractfile(member) or io.BytesIO()).read() for member in opened}


FILES = {"edgebox/outbox/" + "a" * 32 + "/1-1.eb": b"EBB" + bytes(9000), "b": b"", "c": b"x" * 512}


def test_any_tar_reads_what_we_write_and_we_read_what_any_tar_writes() -> None:
    content = packed(FILES)
    assert by_tarfile(content) == FILES
    assert len(content) == archive.archive_bytes([len(one) for one in FILES.values()])
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=form) as made:
            for name, one in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(one)
                made.addfile(member, io.BytesIO(one))
        assert whole(target.getvalue()) == FILES


@given(st.lists(st.binary(max_size=2000), max_size=4), st.integers(1, 3000))
@settings(max_examples=50, deadline=None)
def test_it_is_read_however_it_arrives(contents: list[bytes], step_bytes: int) -> None:
    files = {f"file-{number}": content for number, content in enumerate(contents)}
    assert whole(packed(files), step_bytes) == files


def test_a_bundle_alone_is_taken_as_one_file() -> None:
    for size in (3, 4000, 4224, 9000):
        content = (b"EBB" + bytes(size))[:size]
        for step_bytes in (1, 777, 1 << 20):
            assert whole(content, step_bytes) == {"": content}


def test_a_file_that_was_cut_anywhere_is_noticed_and_what_came_before_is_whole() -> None:
    content = packed(FILES)
    for length in range(0, len(content) - archive.BLOCK_BYTES, 97):
        found = []
        with pytest.raises(BundleMalformed):
            for step in read(content[:length]):
                found.append(step)  # noqa: PERF402 - what came before the error counts
        assert all(FILES[one.name] == one.content for one in found if isinstance(one, Whole))


def test_links_devices_folders_and_giants_are_passed_over() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as made:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo("/etc/passwd")
            member.type, member.linkname = kind, "/etc/shadow"
            made.addfile(member)
        member = tarfile.TarInfo("good")
        member.size = 4
        made.addfile(member, io.BytesIO(b"good"))
    assert whole(target.getvalue()) == {"good": b"good"}
    giant = archive.member_header(PurePosixPath("giant"), FILE_MAX_BYTES + 1)
    reader = ArchiveReader()
    assert list(reader.feed(giant)) == []
    for _ in range(100):
        assert list(reader.feed(bytes(1 << 20))) == []


def test_junk_and_too_many_files_are_refused() -> None:
    for junk in (b"", b"x", b"\x7fELF" + bytes(2000), b"PK\x03\x04" + bytes(600)):
        with pytest.raises(BundleMalformed):
            list(read(junk))
    one = archive.member_header(PurePosixPath("x"), 0)
    with pytest.raises(BundleMalformed):
        list(read(one * (archive.MEMBERS_MAX + 1) + archive.END))


@given(st.binary(max_size=1500))
@settings(max_examples=200, deadline=None)
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    for begin in (b"", archive.member_header(PurePosixPath("x"), 700)):
        try:
            assert all(len(one.content) <= len(content) for one in read(begin + content) if isinstance(one, Whole))
        except BundleMalformed:
            continue
