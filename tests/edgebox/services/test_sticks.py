"""A stick is what is mounted; a folder that was left behind is none, and nothing is written into it."""

import errno
import os
from pathlib import Path

import pytest

from content_packs.format.errors import StickGone
from content_packs.usb import Look
from edgebox.services import mounts
from edgebox.services.library import Library
from edgebox.services.sticks import Sticks, find_sticks
from edgebox.settings import MOUNT_ROOTS, Settings, prepare_folders
from tests.support.clock import FakeClock

TABLE = b"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
30 27 179:2 /media /media rw,noatime - ext4 /dev/mmcblk0p2 rw
60 27 8:1 / /media/pi/HILL\\040SCHOOL rw,nosuid,nodev shared:9 master:2 - vfat /dev/sda1 rw,uid=1000
61 27 8:17 / /media/STICK ro - vfat /dev/sdb1 ro
62 27 0:50 / /mnt/tools ro - tmpfs tools ro
63 27 0:51 / /mnt/share rw - nfs4 10.0.0.2:/share rw
64 27 8:33 / /mnt rw - exfat /dev/sdc1 rw
65 27 8:49 / /media/a/b/c/d rw - vfat /dev/sdd1 rw
66 27 8:65 / /media/a/b/c rw - vfat /dev/sde1 rw
67 27 8:81 / /mediatheque rw - ext4 /dev/sdf1 rw
broken
"""


def test_sticks_are_devices_mounted_up_to_three_folders_below_a_stick_folder() -> None:
    assert find_sticks(MOUNT_ROOTS, sorted(mounts.parse_table(TABLE))) == [
        Path("/media/STICK"),
        Path("/media/a/b/c"),
        Path("/media/pi/HILL SCHOOL"),
        Path("/mnt"),
    ]


def test_the_table_of_the_running_system_is_understood() -> None:
    assert all(path.is_absolute() for path in mounts.mounted_devices())


def test_a_folder_below_the_mount_roots_is_no_stick_whatever_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pi" / "LEFT" / "edgebox").mkdir(parents=True)
    assert find_sticks((tmp_path / "pi",), []) == [tmp_path / "pi" / "LEFT"]
    monkeypatch.setattr("edgebox.services.sticks.MOUNT_ROOTS", (tmp_path,))
    assert find_sticks((tmp_path / "pi",), []) == []
    assert find_sticks((tmp_path,), []) == []


def test_in_a_folder_of_ones_own_only_what_holds_our_folder_plays_a_stick(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "film.mp4").touch()
    (tmp_path / "one" / "edgebox").mkdir(parents=True)
    (tmp_path / "two" / "edgebox").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert find_sticks((tmp_path,), []) == [tmp_path / "one", tmp_path / "two"]
    assert find_sticks((tmp_path / "one",), []) == [tmp_path / "one"]
    assert find_sticks((tmp_path / "gone",), []) == []


def test_a_stick_that_is_mounted_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "one" / "edgebox").mkdir(parents=True)
    assert find_sticks((tmp_path, tmp_path / "one"), [tmp_path / "one"]) == [tmp_path / "one"]


@pytest.fixture
def sticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sticks:
    """Give a box whose folder is on the mounted disk `disk`, and a mounted stick."""
    disk, stick = tmp_path / "disk", tmp_path / "user" / "STICK"
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "table")
    mounts.TABLE.write_text("".join(f"64 27 8:33 / {place} rw - ext4 /dev/sdc1 rw\n" for place in (disk, stick)))
    stick.mkdir(parents=True)
    settings = Settings(data=disk / "box", stick_folders=(tmp_path,))
    prepare_folders(settings)
    return Sticks(Library(settings), settings, FakeClock())


async def test_the_disk_that_holds_the_box_is_no_stick(sticks: Sticks, tmp_path: Path) -> None:
    assert await sticks.mounted() == [tmp_path / "user" / "STICK"]


async def test_a_stick_that_may_not_be_read_is_shown_with_its_trouble(
    sticks: Sticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("edgebox.services.sticks.look", refuse)
    (found,) = await sticks.look()
    assert isinstance(found.error, StickGone)
    assert found.error.fields["reason"] == "EACCES"


async def test_what_changes_in_the_middle_of_a_look_is_seen_by_the_next(
    sticks: Sticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def install_meanwhile(*_arguments: object, **_more: object) -> Look:
        nonlocal looks
        looks += 1
        if looks == 1:
            sticks.forget()
        return Look([], is_whole=True)

    monkeypatch.setattr("edgebox.services.sticks.look", install_meanwhile)
    for _ in range(3):
        await sticks.look()
    assert looks == 2
