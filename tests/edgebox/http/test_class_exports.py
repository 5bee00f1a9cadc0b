"""The files of a class: what is in them, that no cell acts as a formula, and who gets them."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgebox.app import Part, running_box
from edgebox.domain.caller import Reach
from edgebox.store.statement_filters import Filter
from tests.support.box import make_school, make_tablet
from tests.support.site import Site

HOSTILE = "=cmd|' /C calc'!A0"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        yield Site(running.box, school, running.address.rstrip("/"))


async def _work(site: Site) -> None:
    tablet = make_tablet()
    for learner in site.school.learners:
        await site.box.recording.store_outbox(tablet.request(tablet.event(learner), tablet.event(learner)))


async def test_the_table_has_a_line_for_each_learner_and_resource_and_no_formula(site: Site) -> None:
    await _work(site)
    class_no = site.school.class_no
    await site.box.teaching.add_learner(class_no, HOSTILE, family_name='Bilal, the "Big"')
    async with site.teacher() as teacher:
        response, text = await teacher.get(f"/staff/classes/{class_no}/work.csv")
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"].startswith("attachment;")
        assert text.startswith("\ufeff")
    headings, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    assert len(rows) == 3
    assert {len(row) for row in rows} == {len(headings)}
    assert [row[1] for row in rows if row[0] == "'" + HOSTILE] == ['Bilal, the "Big"']
    assert sorted(row[4] != "" for row in rows) == [False, True, True]


async def test_the_lines_are_what_the_record_store_gives_of_the_class(site: Site) -> None:
    await _work(site)
    class_no = site.school.class_no
    outsider = await site.box.teaching.add_learner(await site.box.teaching.add_class("Other"), "Zoe")
    login, secret = await site.box.clients.make(
        "Reader", may_write=False, reach=Reach.CLASS, class_no=class_no, person_no=outsider
    )
    async with site.teacher() as teacher:
        _, text = await teacher.get(f"/staff/classes/{class_no}/statements.jsonl")
    caller = await site.box.clients.check(login, secret)
    given = await site.box.record_store.list_page(caller, Filter(is_ascending=True), None, 100)
    assert [json.loads(line) for line in text.splitlines()] == given.statements
    assert len(given.statements) == 4


@pytest.mark.parametrize("file", ["work.csv", "statements.jsonl"])
async def test_a_class_that_does_not_exist_has_no_files(site: Site, file: str) -> None:
    async with site.teacher() as teacher:
        response, _ = await teacher.get(f"/staff/classes/999/{file}")
        assert response.status == 404
