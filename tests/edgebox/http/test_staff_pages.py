"""Staff pages over real HTTP: who may open them, what their forms do, what they show."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from content_packs import installer
from content_packs.base.signing import SigningKey
from content_packs.patch.making import make_patch
from edgebox.domain.clock_rules import Source
from edgebox.domain.session import Access
from edgebox.http.routes import ROUTES, Route
from edgebox.http.staff import day_text
from edgebox.store.jobs import JobState
from edgebox.store.log import number_key
from tests.support.box import make_tablet
from tests.support.file_servers import serving
from tests.support.site import Site, site_with_sticks
from tests.support.small_course import PACK, built, trust

KEY = SigningKey(b"k" * 32)
HOSTILE = "<script>alert(1)</script>\"'>"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_with_sticks(tmp_path, lambda school: trust(school.settings.keys, KEY)) as site:
        yield site


async def install(site: Site, **options: str) -> None:
    folder = await built(site.box.settings.stick_folders[0] / "STICK", KEY, **options)
    no = await site.box.loading.start(folder)
    async for job in site.box.loading.watch(no):
        last = job
    assert last.state is JobState.DONE


STAFF_ROUTES = [route for route in ROUTES if route.path.startswith("/staff") and route.access is not Access.PUBLIC]
_NUMBERS = ("client_no", "message_no", "class_no", "person_no", "assignment_no", "job_no", "hand_in_no")
PLACES = dict.fromkeys(_NUMBERS, "1") | {"pack": PACK, "lesson": "0" * 32}


def test_every_staff_page_but_the_doors_is_for_teachers() -> None:
    public = {route.path for route in ROUTES if route.path.startswith("/staff") and route.access is Access.PUBLIC}
    assert public == {"/staff", "/staff/set-up"}
    assert {route.access for route in STAFF_ROUTES} == {Access.TEACHER}
    # The upload is no plain form: it checks its field itself, before it writes anything (test_bringing.py).
    assert [route.path for route in STAFF_ROUTES if not route.form] == ["/staff/packs/upload"]


@pytest.mark.parametrize("route", STAFF_ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_learners_and_strangers_are_refused(site: Site, route: Route) -> None:
    method, path = route.method, route.path.format(**PLACES)
    for person, status in ((site.school.learners[0], 403), (None, 401)):
        async with site.browser(person) as browser:
            response, _ = await (browser.get(path) if method == "GET" else browser.post(path, {}))
            assert response.status == status


@pytest.mark.parametrize(
    "path", [route.path.format(**PLACES) for route in STAFF_ROUTES if route.method == "POST" and route.form]
)
async def test_a_form_without_its_token_or_from_elsewhere_changes_nothing(site: Site, path: str) -> None:
    async with site.teacher() as browser:
        response, _ = await browser.post(path, {"title": "New", "given_name": "New"})
        assert response.status == 403
        response, _ = await browser.post(path, {"csrf": "0" * 64, "title": "New"})
        assert response.status == 403
        fields = {"csrf": await browser.csrf(), "title": "New", "given_name": "New"}
        response, _ = await browser.post(path, fields, origin="http://evil.example")
        assert response.status == 403
    assert [found.title for found in await site.box.teaching.classes()] == ["Class 4"]
    assert len(await site.box.teaching.learners(site.school.class_no)) == 2


async def test_a_class_is_made_and_names_are_shown_as_text(site: Site) -> None:
    async with site.teacher() as browser:
        response, _ = await browser.submit("/staff/classes", title=HOSTILE)
        assert response.status == 303
        path = response.headers["Location"]
        await browser.submit(f"{path}/learners", given_name=HOSTILE, family_name=HOSTILE, avatar="owl")
        for page in ("/staff/classes", path, f"{path}/cards"):
            response, text = await browser.get(page)
            assert response.status == 200
            assert "<script>alert" not in text
            assert "&lt;script&gt;alert(1)" in text


async def test_a_name_that_cannot_be_used_is_explained_on_the_same_page(site: Site) -> None:
    async with site.teacher() as browser:
        for fields in (
            {"given_name": "   "},
            {"given_name": "x" * 61},
            {"given_name": "\u200b"},
            {"given_name": "a\u202eb"},
        ):
            response, text = await browser.submit(f"/staff/classes/{site.school.class_no}/learners", **fields)
            assert response.status == 400
            assert "This name cannot be used." in text
            assert "1 to 60 letters" in text
    assert len(await site.box.teaching.learners(site.school.class_no)) == 2


async def test_the_class_page_tells_that_a_tablet_holds_refused_work(site: Site) -> None:
    tablet, learner = make_tablet(), site.school.learners[0]
    shown = []
    for refused in (0, 3, 0):
        await site.box.recording.store_outbox(tablet.request(tablet.event(learner), refused=refused))
        async with site.teacher() as teacher:
            _, text = await teacher.get(f"/staff/classes/{site.school.class_no}")
        shown.append("Some work on a tablet could not be taken" in text)
    assert shown == [False, True, False]


async def test_a_name_is_spelled_with_the_joiners_its_script_needs(site: Site) -> None:
    async with site.teacher() as browser:
        name = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"
        response, _ = await browser.submit(f"/staff/classes/{site.school.class_no}/learners", given_name=name)
        assert response.status == 303
    assert name in {learner.given_name for learner in await site.box.teaching.learners(site.school.class_no)}


async def test_a_class_that_does_not_exist_is_not_found(site: Site) -> None:
    async with site.teacher() as browser:
        for path in ("/staff/classes/999", "/staff/classes/x", f"/staff/classes/{10**30}", "/staff/classes/999/table"):
            response, _ = await browser.get(path)
            assert response.status == 404


async def test_a_learner_is_taken_out_of_a_class(site: Site) -> None:
    gone = site.school.learners[0].no
    async with site.teacher() as browser:
        response, _ = await browser.submit(f"/staff/classes/{site.school.class_no}/learners/{gone}/end")
        assert response.status == 303
    assert gone not in [learner.no for learner in await site.box.teaching.learners(site.school.class_no)]


async def test_a_card_shows_a_new_secret_once_and_it_works(site: Site) -> None:
    chosen, other = site.school.learners
    path = f"/staff/classes/{site.school.class_no}/cards"
    async with site.teacher() as browser:
        response, text = await browser.submit(path, kind="pin", **{f"learner-{chosen.no}": "1"})
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        (pin,) = re.findall(r'<p class="lede code" dir="ltr">(\d{4})</p>', text)
        _, again = await browser.get(path)
        assert pin not in again
    async with site.browser() as browser:
        response, _ = await browser.post(f"/sign-in/{chosen.no}", {"pin": pin})
        assert response.headers.get("Location") == "/learn"
    assert (await secret_kinds(site))[other.no] is None


async def test_cards_with_pictures_show_four_drawings(site: Site) -> None:
    chosen = site.school.learners[0]
    async with site.teacher() as browser:
        _, text = await browser.submit(
            f"/staff/classes/{site.school.class_no}/cards", kind="picture", **{f"learner-{chosen.no}": "1"}
        )
    assert len(re.findall(r'<svg class="secret"', text)) == 4
    assert (await secret_kinds(site))[chosen.no] == "picture"


async def test_cards_for_people_of_other_classes_are_not_made(site: Site) -> None:
    async with site.teacher() as browser:
        before = await secret_kinds(site)
        for no in (site.school.teacher.no, 10**50):
            response, text = await browser.submit(
                f"/staff/classes/{site.school.class_no}/cards", kind="pin", **{f"learner-{no}": "1"}
            )
            assert response.status == 400
            assert 'print-card"' not in text
        assert await secret_kinds(site) == before
        response, _ = await browser.submit(f"/staff/classes/{site.school.class_no}/cards", kind="password")
        assert response.status == 400
        response, text = await browser.submit(f"/staff/classes/{site.school.class_no}/cards", kind="pin")
        assert response.status == 400
        assert "Choose at least one learner." in text


async def secret_kinds(site: Site) -> dict[int, str | None]:
    return {learner.no: learner.secret_kind for learner in await site.box.teaching.learners(site.school.class_no)}


async def test_a_given_lesson_makes_columns_and_progress_fills_them(site: Site) -> None:
    await install(site)
    first, second = site.school.learners
    path = f"/staff/classes/{site.school.class_no}"
    async with site.teacher() as browser:
        _, text = await browser.get(path)
        assert f'<option value="{PACK}/halves">Halves</option>' in text
        response, _ = await browser.submit(f"{path}/assignments", lesson=f"{PACK}/halves")
        assert response.status == 303
        await record(site, first.no, "halves-read", progress=1.0, is_complete=True)
        await record(site, first.no, "halves-quiz", progress=0.4, score=0.5)
        await record(site, second.no, "not-assigned", progress=1.0, is_complete=True)
        _, text = await browser.get(path)
        assert f'<option value="{PACK}/halves">' not in text
        assert "What is a half?" in text
        assert '<progress value="40" max="100"' in text
        assert "score 50" in text
        assert text.count('<span class="pill pill--go">') == 1
        assert text.count(">Not started<") == 2
        assert "1 of 2</td>" in text


async def test_the_table_costs_a_304_until_something_changes(site: Site) -> None:
    await install(site)
    class_no = site.school.class_no
    await site.box.teaching.assign(class_no, PACK, "halves")
    async with site.teacher() as browser:
        path = f"/staff/classes/{class_no}/table"
        response, text = await browser.get(path)
        assert text.lstrip().startswith('<section id="table"')
        etag = response.headers["ETag"]
        response, text = await browser.get(path, **{"If-None-Match": etag})
        assert (response.status, text) == (304, "")
        await record(site, site.school.learners[0].no, "halves-read", progress=0.2)
        response, text = await browser.get(path, **{"If-None-Match": etag})
        assert response.status == 200
        assert "20 %" in text


async def test_a_day_that_the_box_wrote_down_wrong_is_put_right_and_marked(site: Site) -> None:
    await install(site)
    class_no, timekeeping = site.school.class_no, site.box.timekeeping
    await site.box.teaching.assign(class_no, PACK, "halves")
    tablet, now_ms = make_tablet(), timekeeping.clock.now_ms()
    event = tablet.event(site.school.learners[0], pack=PACK, resource="halves-read", t=now_ms)
    await site.box.recording.store_outbox(tablet.request(event))
    async with site.teacher() as browser:
        path = f"/staff/classes/{class_no}/table"
        assert f">{day_text(now_ms)}</td>" in (await browser.get(path))[1]
        await timekeeping.hear(Source.HUB, now_ms + 40 * 86_400_000)
        text = (await browser.get(path))[1]
        assert f">~{day_text(now_ms + 40 * 86_400_000)}</td>" in text
        assert "the day was put right later" in text


async def test_a_lesson_is_taken_back_and_given_again(site: Site) -> None:
    await install(site)
    class_no = site.school.class_no
    no = await site.box.teaching.assign(class_no, PACK, "halves")
    async with site.teacher() as browser:
        await browser.submit(f"/staff/classes/{class_no}/assignments/{no}/end")
        assert (await site.box.teaching.progress(class_no)).lessons == ()
        await browser.submit(f"/staff/classes/{class_no}/assignments", lesson=f"{PACK}/halves")
    assert [each.assignment.no for each in (await site.box.teaching.progress(class_no)).lessons] == [no]
    assert await turns(site) == 3


async def test_a_pack_of_which_a_class_has_a_lesson_is_not_removed(site: Site) -> None:
    await install(site)
    class_no = site.school.class_no
    no = await site.box.teaching.assign(class_no, PACK, "halves")
    async with site.teacher() as browser:
        response, text = await browser.submit(f"/staff/packs/{PACK}/remove")
        assert response.status == 409
        assert "This pack is in use: Class 4." in text
        await site.box.teaching.unassign(class_no, no)
        response, _ = await browser.submit(f"/staff/packs/{PACK}/remove")
        assert response.status == 303


async def test_an_assignment_outlives_its_pack(site: Site) -> None:
    await install(site)
    class_no = site.school.class_no
    await site.box.teaching.assign(class_no, PACK, "halves")
    await asyncio.to_thread(installer.remove, site.box.settings.data, PACK)
    await site.box.library.reload()
    async with site.teacher() as browser:
        response, text = await browser.get(f"/staff/classes/{class_no}")
        assert response.status == 200
        assert f"The pack is not on this box: {PACK}" in text


async def test_a_lesson_that_is_not_there_cannot_be_given(site: Site) -> None:
    async with site.teacher() as browser:
        for lesson in ("", "nothing", f"{PACK}/halves", "a/b/c"):
            response, _ = await browser.submit(f"/staff/classes/{site.school.class_no}/assignments", lesson=lesson)
            assert response.status == 404


async def test_a_course_is_loaded_from_a_stick_and_removed(site: Site) -> None:
    folder = await built(site.box.settings.stick_folders[0] / "STICK", KEY)
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert "Equal parts" in text
        assert "Example Press" in text
        response, _ = await browser.submit("/staff/packs/install", folder=str(folder))
        assert response.status == 303
        async for _job in site.box.loading.watch(1):
            pass
        _, text = await browser.get("/staff/packs")
        assert "ready to use" in text
        assert "already on the box" in text
        response, _ = await browser.submit(f"/staff/packs/{PACK}/remove")
        assert response.status == 303
        _, text = await browser.get("/staff/packs")
        assert "There are no packs on this box yet." in text


async def test_what_is_ticked_is_loaded_as_one_run_and_what_failed_is_named(site: Site) -> None:
    stick = site.box.settings.stick_folders[0] / "STICK"
    folders = [await built(stick, KEY, pack=f"org.example.{name}", title=name, more=name) for name in ("one", "two")]
    for blob in [path for path in (folders[1] / "blobs").rglob("*") if path.is_file()]:
        blob.write_bytes(b"x" * blob.stat().st_size)
    async with site.teacher() as browser:
        await browser.get("/staff/packs")
        form = {f"folder-1-{number}": str(folder) for number, folder in enumerate(folders)}
        response, _ = await browser.submit("/staff/packs/install", **form)
        assert response.status == 303
        async for _run in site.box.loading.watch_all([1, 2]):
            pass
        _, text = await browser.get("/staff/packs/jobs")
        assert "1 of 2 packs ready to use" in text
        assert "1 not loaded" in text
        assert "A file of the pack is damaged or was changed" in text
        response, text = await browser.submit("/staff/packs/install")
        assert (response.status, "No pack was chosen." in text) == (400, True)
        response, _ = await browser.submit("/staff/packs/jobs/cancel")
        assert response.status == 303


async def test_a_stick_is_filled_with_what_is_ticked(site: Site) -> None:
    await install(site, pack="org.example.one")
    await install(site, pack="org.example.two")
    stick = site.box.settings.stick_folders[0] / "NEXT"
    (stick / "edgebox").mkdir(parents=True)
    async with site.teacher() as browser:
        _, text = await browser.get(f"/staff/packs/export?stick={stick}&fit=1&level=Primary 3&language=fr")
        assert text.count("checked") == 2
        _, text = await browser.get(f"/staff/packs/export?stick={stick}&level=Primary 9")
        assert "No pack on this box is like that." in text
        response, _ = await browser.submit("/staff/packs/export", stick=str(stick), **{"pack-1": "org.example.two"})
        assert response.status == 303
        async for _job in site.box.exporting.watch():
            pass
        _, text = await browser.get("/staff/packs/export/state")
        assert "filled and checked" in text
        assert [path.name for path in (stick / "edgebox" / "packs").iterdir()] == ["org.example.two"]


async def test_only_a_stick_that_is_there_can_be_filled_and_only_with_packs_of_the_box(site: Site) -> None:
    stick = site.box.settings.stick_folders[0] / "NEXT"
    (stick / "edgebox").mkdir(parents=True)
    async with site.teacher() as browser:
        for path in ("/etc", str(site.box.settings.data), ""):
            response, _ = await browser.submit("/staff/packs/export", stick=path, **{"pack-1": PACK})
            assert response.status == 503
        response, text = await browser.submit("/staff/packs/export", stick=str(stick))
        assert (response.status, "No pack was chosen." in text) == (400, True)
        response, _ = await browser.submit("/staff/packs/export", stick=str(stick), **{"pack-1": "org.example.none"})
        assert response.status == 404
        await browser.submit("/staff/packs/export/cancel")
    assert list((stick / "edgebox").iterdir()) == []


async def test_only_what_a_stick_offers_can_be_loaded(site: Site) -> None:
    outside = await built(site.box.settings.data.parent / "elsewhere", KEY)
    async with site.teacher() as browser:
        for folder in (str(outside), "/etc", "../..", ""):
            response, text = await browser.submit("/staff/packs/install", folder=folder)
            assert response.status == 404
            assert "There is no pack here" in text
    assert await site.box.loading.recent() == []


async def test_an_unknown_publisher_is_shown_but_cannot_be_loaded(site: Site) -> None:
    folder = await built(
        site.box.settings.stick_folders[0] / "STICK", SigningKey(b"s" * 32), title=HOSTILE.replace('"', "")
    )
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs/sticks")
        assert "<script>alert" not in text
        assert "signed by a publisher this box does not know" in text
        assert 'name="folder"' not in text
        response, _ = await browser.submit("/staff/packs/install", folder=str(folder))
        assert response.status == 403


async def test_a_pulled_stick_is_explained_and_loading_can_be_stopped(site: Site) -> None:
    stick = site.box.settings.stick_folders[0] / "STICK"
    no = await site.box.loading.start(await built(stick, KEY))
    stick.rename(site.box.settings.data.parent / "pulled")
    async for job in site.box.loading.watch(no):
        last = job
    assert last.state is JobState.STICK_GONE
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs/jobs")
        assert "Put the stick in again." in text
        await browser.submit(f"/staff/packs/jobs/{no}/cancel")
        _, text = await browser.get("/staff/packs/jobs")
        assert "stopped" in text
        assert "Stop loading" not in text


async def record(
    site: Site, person_no: int, resource: str, *, progress: float, score: float | None = None, is_complete: bool = False
) -> None:
    """Write a row of progress as the recording of statements does."""

    def write(connection: Connection) -> None:
        execute = connection.execute
        execute(
            "INSERT OR IGNORE INTO activity (iri, pack, resource) VALUES (?, ?, ?)",
            (f"urn:x-edgebox:{PACK}:{resource}", PACK, resource),
        )
        (no,) = execute("SELECT no FROM activity WHERE resource = ?", (resource,)).fetchone()
        execute(
            "INSERT OR REPLACE INTO progress (person_no, activity_no, progress, is_complete, score_scaled, first_ms,"
            " last_ms) VALUES (?, ?, ?, ?, ?, 1, 1)",
            (person_no, no, progress, is_complete, score),
        )

    await site.box.database.write(write)


async def turns(site: Site) -> int:
    """Return how often the log says that the lesson was given or taken back."""

    def count(connection: Connection) -> int:
        no = connection.execute("SELECT no FROM fact WHERE entity = 4 AND field = 6").fetchone()[0]
        query = "SELECT count(*) FROM change WHERE kind = 11 AND key = ?"
        return int(connection.execute(query, (number_key(no),)).fetchone()[0])

    return await site.box.database.read(count)


async def test_a_newer_version_is_fetched_on_request_and_shown(site: Site) -> None:
    await install(site)
    newer = await built(site.box.settings.data.parent / "newer", KEY, version=2)
    patch = await asyncio.to_thread(make_patch, None, newer, site.box.settings.data.parent / "full.ebp", KEY)
    content = await asyncio.to_thread(patch.path.read_bytes)
    async with serving(content) as server, site.teacher() as browser:
        result = await site.box.fetching.install(f"{server.address}/packs/{PACK}")
        assert result.manifest.version == 2
        _, text = await browser.get("/staff/packs")
        assert "Look for newer versions" in text
        assert "version 2" in text
        response, _ = await browser.submit("/staff/packs/updates")
        assert response.status == 303
        response, _ = await browser.submit(f"/staff/packs/updates/{PACK}/cancel")
        assert response.status == 303
        _, text = await browser.get("/staff/packs/updates")
        assert text.lstrip().startswith('<section id="updates"')
