from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgebox.app import open_box
from edgebox.keys import Box
from tests.support.box import School, make_school
from tests.support.records import Records, outside_client


@pytest.fixture
def school(tmp_path: Path) -> School:
    return make_school(tmp_path / "box", learners=2)


@pytest.fixture
async def box(school: School) -> AsyncIterator[Box]:
    async with open_box(school.settings) as opened:
        yield opened


@pytest.fixture
async def records(box: Box) -> AsyncIterator[Records]:
    async with outside_client(box) as opened:
        yield opened


@pytest.fixture
async def records_two(box: Box) -> AsyncIterator[Records]:
    async with outside_client(box, version="2.0.0") as opened:
        yield opened
