"""A file that came with a statement is whole or not there, wherever the power goes."""

import asyncio
import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from content_packs.installer.planning import DiskSpace
from edgebox.services.attachments import Attachments, Part, Writing
from edgebox.store.attachments import Attachment, insert_attachments
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from tests.support.filled import PAGE_SIZE
from tests.support.power_cut import CuttableDisk, PowerCut

CONTENT = bytes(range(256)) * 40
SHA2 = sha256(CONTENT).hexdigest()


def bring(files: Attachments, folder: Path) -> None:
    coming = folder / "coming" / "1"
    coming.mkdir(parents=True)
    writing = Writing(coming, SHA2, "image/png")
    try:
        writing.write(CONTENT)
        part = writing.finish()
    finally:
        writing.close()
    files._keep([part])


@pytest.mark.parametrize("lose_contents", [False, True])
def test_file_is_whole_or_not_there_wherever_the_power_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lose_contents: bool
) -> None:
    database = Database(tmp_path / "box.db")
    try:
        for cut_at in count(1):
            folder = tmp_path / str(cut_at)
            folder.mkdir()
            files = Attachments(database, folder)
            disk = CuttableDisk(folder, monkeypatch, cut_at)
            is_kept = True
            try:
                bring(files, folder)
            except PowerCut:
                is_kept = False
            disk.settle(lose_contents=lose_contents, lose_names=True)
            path = files.path_of(SHA2)
            assert path.exists() or not is_kept
            assert not path.exists() or path.read_bytes() == CONTENT
            if is_kept:
                break
        assert cut_at > 5
    finally:
        database.close()


async def test_files_leave_room_for_statements_without_files(tmp_path: Path) -> None:
    database = await asyncio.to_thread(Database, tmp_path / "box.db")
    try:
        files = Attachments(database, tmp_path, measure=lambda _folder: DiskSpace(260_000_000, 10**9))
        async with files.receiving(9_000_000) as folder:
            assert await asyncio.to_thread(folder.is_dir)
        assert not await asyncio.to_thread(folder.exists)
        with pytest.raises(StoreUnavailable):
            async with files.receiving(11_000_000):
                pass
    finally:
        await asyncio.to_thread(database.close)


async def test_requests_under_way_share_the_room_there_is(tmp_path: Path) -> None:
    database = await asyncio.to_thread(Database, tmp_path / "box.db")
    try:
        files = Attachments(database, tmp_path, measure=lambda _folder: DiskSpace(260_000_000, 10**9))
        async with files.receiving(6_000_000):
            with pytest.raises(StoreUnavailable):
                async with files.receiving(6_000_000):
                    pass
        async with files.receiving(6_000_000):
            pass
    finally:
        await asyncio.to_thread(database.close)


def place(folder: Path, content: bytes) -> str:
    """Put a file where it stays, and return its hash. Blocks."""
    sha2 = sha256(content).hexdigest()
    (folder / sha2[:2]).mkdir(exist_ok=True)
    (folder / sha2[:2] / sha2).write_bytes(content)
    return sha2


def turn_bit(path: Path, name: str, sha2: str) -> None:
    """Turn a bit of a hash in a table or an index. Blocks."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
    content = bytearray(path.read_bytes())
    content[content.index(sha2.encode(), (root - 1) * PAGE_SIZE, root * PAGE_SIZE)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damaged", ["attachment_sha2", "attachment"])
async def test_file_that_a_statement_names_is_never_removed(tmp_path: Path, damaged: str) -> None:
    folder, path = tmp_path / "files", tmp_path / "box.db"
    await asyncio.to_thread(folder.mkdir)
    kept = await asyncio.to_thread(place, folder, b"a recording of a learner reading aloud")
    stray = await asyncio.to_thread(place, folder, b"of a statement that was refused")

    def store(connection: sqlite3.Connection) -> None:
        body = json.dumps({"attachments": [{"sha2": kept.upper()}]}).encode()
        values = (bytes(16), body)
        connection.execute(
            "INSERT INTO statement (id, verb_no, activity_no, timestamp_ms, stored_ms, body, digest)"
            " VALUES (?, 1, 1, 0, 0, ?, x'00')",
            values,
        )
        insert_attachments(connection, [Attachment(bytes(16), kept, "audio/ogg")])

    database = await asyncio.to_thread(Database, path)
    await database.write(store)
    await asyncio.to_thread(database.close)
    await asyncio.to_thread(turn_bit, path, damaged, kept)
    database = await asyncio.to_thread(Database, path)
    try:
        files = Attachments(database, folder)
        await files.sweep()
        assert await asyncio.to_thread(files.path_of(kept).exists)
        assert not await asyncio.to_thread(files.path_of(stray).exists)
    finally:
        await asyncio.to_thread(database.close)


async def test_file_of_a_refused_statement_that_another_one_has_stays(tmp_path: Path) -> None:
    folder, path = tmp_path / "files", tmp_path / "box.db"
    await asyncio.to_thread(folder.mkdir)
    kept = await asyncio.to_thread(place, folder, CONTENT)
    database = await asyncio.to_thread(Database, path)
    await database.write(lambda db: insert_attachments(db, [Attachment(bytes(16), kept, "audio/ogg")]))
    await asyncio.to_thread(database.close)
    await asyncio.to_thread(turn_bit, path, "attachment_sha2", kept)
    database = await asyncio.to_thread(Database, path)
    try:
        files = Attachments(database, folder)
        await files.settle([Part(kept, "audio/ogg", len(CONTENT), files.path_of(kept), True)], is_stored=False)
        assert await asyncio.to_thread(files.path_of(kept).exists)
    finally:
        await asyncio.to_thread(database.close)
