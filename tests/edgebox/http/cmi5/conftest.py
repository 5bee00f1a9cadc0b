from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgebox.app import open_box
from edgebox.keys import Box
from tests.support.box import School, make_school
from tests.support.cmi5 import Client, driving


@pytest.fixture
def school(tmp_path: Path) -> School:
    return make_school(tmp_path / "box", learners=2)


@pytest.fixture
async def box(school: School) -> AsyncIterator[Box]:
    async with open_box(school.settings) as opened:
        yield opened


@pytest.fixture
async def driver(box: Box, school: School) -> AsyncIterator[Client]:
    async with driving(box, school.teacher.no) as client:
        yield client
