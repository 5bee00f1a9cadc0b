"""A file that came with a statement is whole or not there, wherever the power goes."""

import asyncio
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from content_packs.installer.planning import DiskSpace
from edgebox.services.attachments import Attachments, Writing
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
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
