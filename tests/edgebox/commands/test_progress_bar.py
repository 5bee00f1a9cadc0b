"""The progress bar of commands on a terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from content_packs.base.signing import SigningKey
from content_packs.format import keyfile
from tests.edgebox.commands.test_commands import enrol_with_nobody
from tests.support.box import make_school
from tests.support.small_course import build_small

KEY = SigningKey(b"k" * 32)


def on_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command whose complaints go to a terminal; return its exit code and what the terminal got."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edgebox", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, timeout=60, check=False)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux answers EIO at the end
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return done.returncode, shown.decode()


def test_the_bar_stays_on_one_line_and_ends_it_once(tmp_path: Path) -> None:
    key = tmp_path / "press.pub"
    key.write_text(keyfile.format_public(KEY.verify_key, "Example Press"))
    folder = str(build_small(tmp_path / "stick", KEY))
    code, shown = on_terminal("pack", "install", folder, "--trust", str(key), "--data", str(tmp_path / "box"))
    assert code == 0
    assert shown.endswith("100 %\r\n")
    assert shown.count("\n") == 1
    assert shown.count("100 %") == 1
    assert on_terminal("pack", "list", "--data", str(tmp_path / "box")) == (0, "")


def test_filling_a_stick_for_the_hub_shows_how_far_it_is(tmp_path: Path) -> None:
    data = make_school(tmp_path / "box").settings.data
    enrol_with_nobody(data)
    (tmp_path / "stick").mkdir()
    code, shown = on_terminal("sync", "export", str(tmp_path / "stick"), "--data", str(data))
    assert code == 0
    assert shown.startswith("\r[")
    assert shown.endswith("100 %\r\n")
    assert on_terminal("sync", "import", str(tmp_path / "stick"), "--data", str(data)) == (0, "")
