"""Child processes that read what people bring, or work while a class does: everybody else goes first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from content_packs.base.limited import NICENESS, LimitedChild

AUTOGROUP = Path("/proc/self/autogroup")
CODE = f"""
from content_packs.base.limited import step_back_as_group
step_back_as_group()
print(open("{AUTOGROUP}").read())
"""
pytestmark = pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel shares time out among processes alone")


def test_a_session_of_its_own_goes_behind_the_others() -> None:
    with Path(os.devnull).open("rb") as nothing, LimitedChild(("-I", "-c", CODE), nothing, seconds=60) as child:
        answer = child.read_all(1_000)
    assert answer is not None
    assert int(answer.split()[-1]) == NICENESS


def test_a_session_that_others_share_stays_as_it_is() -> None:
    ours = AUTOGROUP.read_text().split()
    found = subprocess.run([sys.executable, "-I", "-c", CODE], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ours
    assert AUTOGROUP.read_text().split() == ours
