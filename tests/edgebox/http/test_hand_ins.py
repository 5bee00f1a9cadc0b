"""A learner hands in by a plain form; staff see it, open the file as something to save, and give the mark beside it."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import FormData

from content_packs.base.signing import SigningKey
from content_packs.format.errors import PackSpace
from content_packs.installer.planning import DiskSpace
from edgebox.app import Part, running_box
from edgebox.domain.media_type import media_type_of
from edgebox.http import body as http_body
from edgebox.http import hand_ins as pages
from edgebox.http.form_parts import read_part
from edgebox.services import hand_ins
from edgebox.services.hand_ins import HAND_INS_MAX, HandInRefused
from edgebox.store import changes, merged, roster
from edgebox.store import hand_ins as stored
from sync.engine.lanes import Tariff
from sync.enrolment import Hub
from sync.records.facts import Entity, HandInField
from sync.records.kinds import Kind
from tests.support.box import Person, make_school
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.support.site import Browser, Site

ARRIVED = "INSERT INTO fact (entity, id, field, value, stamp, origin) VALUES (?, ?, ?, ?, ?, ?)"
HOSTILE = "<script>alert(1)</script>"
PDF = b"%PDF-1.7\n" + b"x" * 100


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        site = Site(running.box, school, running.address.rstrip("/"))
        await give_lesson(site.box, school.class_no)
        yield site


async def submit(
    browser: Browser, text: str = "", file: bytes | None = None, name: str = "Amina.jpg", kind: str = "image/jpeg"
) -> tuple[int, str]:
    form = FormData()
    form.add_field("csrf", await browser.csrf("/hand-in/1"), content_type="text/plain")
    form.add_field("text", text, content_type="text/plain")
    # A browser sends the field of a file also when none was chosen.
    form.add_field("file", file or b"", filename=name if file else "", content_type=kind)
    return await send(browser, form)


async def send(browser: Browser, form: FormData) -> tuple[int, str]:
    async with browser.session.post(
        f"{browser.address}/hand-in/1",
        data=form,
        headers={"Accept": "text/html", "Origin": browser.address},
        allow_redirects=False,
    ) as response:
        return response.status, await response.text()


def learner(site: Site) -> Person:
    return site.school.learners[0]


def marks_path(site: Site) -> str:
    return f"/staff/classes/{site.school.class_no}/assignments/1/marks"


async def kept(site: Site) -> list[str]:
    """Return the files in the folder of hand-ins, those on their way included."""
    folder = site.box.settings.hand_ins
    return await asyncio.to_thread(lambda: [path.name for path in folder.rglob("*") if path.is_file()])


async def rows(site: Site, query: str) -> list[tuple[object, ...]]:
    return await site.box.database.read(lambda db: [tuple(row) for row in db.execute(query)])


async def test_what_a_learner_hands_in_is_on_the_teachers_page_with_the_form_for_the_mark(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        assert (await submit(browser, f"My tree {HOSTILE}", photo(5_000)))[0] == 303
        _, text = await browser.get("/hand-in/1?done=1")
        assert "Your teacher has it now." in text and "Photo" in text
        assert HOSTILE not in text
    async with site.teacher() as teacher:
        _, text = await teacher.get(marks_path(site))
        assert "My tree &lt;script&gt;" in text and "Photo" in text
        assert f"/learners/{learner(site).no}/mark" in text
        mark = f"/staff/classes/{site.school.class_no}/assignments/1/learners/{learner(site).no}/mark"
        response, _ = await teacher.submit(mark, value="7", comment="A good tree", seen="")
        assert response.status == 303
        _, text = await teacher.get(f"/staff/classes/{site.school.class_no}")
        assert "1 learner has handed in" in text
    async with site.browser(learner(site)) as browser:
        _, text = await browser.get("/hand-in/1")
        assert "Your mark" in text and "A good tree" in text


async def test_a_file_is_given_out_to_save_and_can_do_nothing(site: Site) -> None:
    content = photo(5_000) + HOSTILE.encode()
    async with site.browser(learner(site)) as browser:
        await submit(browser, file=content, name="../../Amina.html", kind="text/html")
        response, _ = await browser.get("/staff/hand-ins/1/file")
        assert response.status == 403
    async with (
        site.teacher() as teacher,
        teacher.session.get(f"{teacher.address}/staff/hand-ins/1/file") as response,
    ):
        assert await response.read() == content
        headers = response.headers
        assert headers["Content-Disposition"] == 'attachment; filename="hand-in-1.jpg"'
        assert headers["Content-Type"] == "image/jpeg"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_second_one_is_a_new_version_and_both_are_kept(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        await submit(browser, "first", photo(3_000))
        await submit(browser, "second", PDF)
    found = await site.box.hand_ins.of_learner(await site.box.hand_ins.assigned(learner(site).no, 1))
    assert [each.text for each in found] == ["second", "first"]
    assert [each.record.media_type for each in found] == ["application/pdf", "image/jpeg"]
    async with site.teacher() as teacher:
        _, text = await teacher.get(marks_path(site))
        assert text.index("second") < text.index("Handed in before") < text.index("first")


async def test_a_form_that_is_sent_twice_hands_in_once(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        for _ in range(2):
            assert (await submit(browser, "mine", photo(3_000)))[0] == 303
    assert await rows(site, "SELECT count(*) FROM hand_in") == [(1,)]
    assert len(await kept(site)) == 1


async def test_the_same_file_of_two_learners_is_stored_once(site: Site) -> None:
    for person in site.school.learners:
        async with site.browser(person) as browser:
            assert (await submit(browser, file=photo(3_000)))[0] == 303
    assert await rows(site, "SELECT count(*) FROM hand_in") == [(2,)]
    assert len(await kept(site)) == 1


async def test_a_long_text_is_a_file_and_a_short_one_goes_with_the_record(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        assert (await submit(browser, "short"))[0] == 303
        assert (await submit(browser, "long " * 1_000))[0] == 303
        assert (await submit(browser, "long " * 1_000, photo(3_000)))[0] == 422
    assert await rows(site, "SELECT media_type, size_bytes FROM hand_in ORDER BY no") == [
        ("text/plain", 5),
        ("text/plain", 4_999),
    ]
    assert await rows(site, "SELECT value FROM fact WHERE entity = 6") == [("short",)]
    assert len(await kept(site)) == 1


@pytest.mark.parametrize(
    "content", [b"<html><script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"PK\x03\x04" + bytes(50), b"MZ", b"x"]
)
async def test_what_is_no_photo_recording_or_pdf_is_refused_whatever_it_calls_itself(
    site: Site, content: bytes
) -> None:
    async with site.browser(learner(site)) as browser:
        status, text = await submit(browser, "look", content)
    assert status == 422
    assert "it is no photo, recording or PDF" in text and "look" in text
    assert await kept(site) == [] == await rows(site, "SELECT no FROM hand_in")


async def test_a_file_over_the_limit_is_refused_and_nothing_of_it_is_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_ins, "FILE_MAX_BYTES", 10_000)
    async with site.browser(learner(site)) as browser:
        status, text = await submit(browser, file=photo(10_001))
    assert status == 422
    assert "larger than 20 MB" in text
    assert await kept(site) == []


async def raw_request(site: Site, person: Person, head: dict[str, str], body: bytes) -> bytes:
    """Send a request as it is, close the line, and return what came back."""
    host, port = site.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = {"Host": f"{host}:{port}", "Cookie": f"edgebox_session={person.session}", "Accept": "text/html"} | head
    start = "POST /hand-in/1 HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(start.encode() + b"\r\n" + body)
    await writer.drain()
    if body:
        writer.write_eof()
    answer = await reader.read(200)
    writer.close()
    return answer


async def test_ten_gigabytes_are_refused_before_one_byte_is_read(site: Site) -> None:
    head = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(10 << 30)}
    answer = await raw_request(site, learner(site), head, b"")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert await kept(site) == []


async def test_an_upload_that_breaks_off_leaves_nothing(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        csrf = await browser.csrf("/hand-in/1")
    body = (
        f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf}\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    ).encode() + photo(300_000)
    head = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(1_000_000)}
    await raw_request(site, learner(site), head, body)
    async with asyncio.timeout(10):
        while await kept(site):
            await asyncio.sleep(0.01)
    assert await rows(site, "SELECT no FROM hand_in") == []


def form_start(csrf: str) -> bytes:
    """Return a form up to the border after a whole photo."""
    return (
        f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf}\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    ).encode() + photo(3_000) + b"\r\n--x\r\n"  # fmt: skip


async def send_body(browser: Browser, body: bytes) -> int:
    """Send a form as it is, and return the status of the answer."""
    async with browser.session.post(
        f"{browser.address}/hand-in/1",
        data=body,
        headers={"Accept": "text/html", "Origin": browser.address, "Content-Type": "multipart/form-data; boundary=x"},
    ) as response:
        return response.status


async def test_a_form_that_breaks_off_after_its_file_leaves_nothing(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        many = b"".join(b"X-%d: y\r\n" % number for number in range(1_000))
        assert await send_body(browser, form_start(await browser.csrf("/hand-in/1")) + many) == 400
    assert await kept(site) == []


@pytest.mark.parametrize("error", [ConnectionResetError(), asyncio.CancelledError()])
async def test_a_line_that_breaks_between_two_parts_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    seen = []

    async def broken(*_arguments: object) -> str:
        if await kept(site):
            seen.append(error)
            raise error
        return await read_part(*_arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "read_part", broken)
    async with site.browser(learner(site)) as browser:
        text = b'Content-Disposition: form-data; name="text"\r\n\r\nmine\r\n--x--\r\n'
        with suppress(aiohttp.ClientError):
            await send_body(browser, form_start(await browser.csrf("/hand-in/1")) + text)
    assert seen == [error]
    assert await kept(site) == []


async def test_a_disk_that_is_full_for_a_long_text_says_so_and_gives_the_text_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(site.box.hand_ins.blobs, "adopt", full)
    async with site.browser(learner(site)) as browser:
        status, text = await submit(browser, "long " * 1_000)
    assert status == 507 and "long long" in text
    assert await kept(site) == [] == await rows(site, "SELECT no FROM hand_in")


async def test_room_that_one_tablet_was_promised_is_not_promised_to_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.box.hand_ins, "_measure", lambda _folder: DiskSpace(200_000_000, 1_000_000_000))
    async with site.box.hand_ins.room(40_000_000):
        with pytest.raises(PackSpace):
            async with site.box.hand_ins.room(50_000_000):
                pass
    async with site.box.hand_ins.room(50_000_000):
        pass


async def test_forms_that_come_at_once_hand_in_no_more_often_than_one_after_the_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_ins, "HAND_INS_MAX", 2)
    files = [photo(3_000, bytes([number])) for number in range(4)]
    given = [hand_in(site.box, learner(site).no, 1, file=file) for file in files]
    results = await asyncio.gather(*given, return_exceptions=True)
    assert sum(isinstance(result, HandInRefused) for result in results) == 2
    assert await rows(site, "SELECT count(*) FROM hand_in") == [(2,)]
    assert len(await kept(site)) == 2


async def test_what_is_handed_in_while_the_teacher_reads_breaks_no_page(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hand_in(site.box, learner(site).no, 1, "first")
    assigned = await site.box.hand_ins.assigned(learner(site).no, 1)
    list_where, path = merged.list_where, site.box.settings.data / "box.db"

    def late(connection: sqlite3.Connection, kind: Kind, **values: object) -> list[object]:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(
                "INSERT INTO hand_in (id, assignment, learner, media_type, size_bytes, hash, stamp, origin)"
                " SELECT randomblob(16), assignment, learner, media_type, size_bytes, hash, stamp + 1, origin"
                " FROM hand_in"
            )
        return list_where(connection, kind, **values)

    monkeypatch.setattr(merged, "list_where", late)
    assert len(await site.box.hand_ins.of_learner(assigned)) == 2


async def test_an_upload_that_stops_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "PROGRESS_SECONDS", 0.05)
    head = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "1000"}
    assert (await raw_request(site, learner(site), head, b"")).startswith(b"HTTP/1.1 408 ")


async def test_a_strange_page_and_another_learner_can_hand_nothing_in(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        for form in (FormData({"csrf": "x" * 40, "text": "y"}), FormData({"text": "y"})):
            form.add_field("file", photo(100), filename="a.jpg", content_type="image/jpeg")
            assert (await send(browser, form))[0] == 403
    no = (await rows(site, "SELECT max(no) FROM person"))[0][0]
    await site.box.teaching.take_out(site.school.class_no, learner(site).no)
    async with site.browser(learner(site)) as browser:
        response, _ = await browser.get("/hand-in/1")
        assert response.status == 404
    async with site.teacher() as teacher:
        response, _ = await teacher.get("/hand-in/1")
        assert response.status == 403
    assert no and await kept(site) == [] == await rows(site, "SELECT no FROM hand_in")


async def test_a_learner_of_another_class_can_hand_nothing_in(site: Site) -> None:
    other = site.school.learners[1]
    async with site.browser(other) as browser:
        csrf = await browser.csrf("/hand-in/1")
        await site.box.teaching.take_out(site.school.class_no, other.no)
        class_no = await site.box.teaching.add_class("Class 5")
        await site.box.database.write(lambda db: roster.set_enrollment(db, site.box.clock.now_ms(), class_no, other.no))
        form = FormData({"csrf": csrf, "text": "y"})
        form.add_field("file", photo(100), filename="a.jpg", content_type="image/jpeg")
        assert (await send(browser, form))[0] == 404
    assert await kept(site) == [] == await rows(site, "SELECT no FROM hand_in")


async def test_a_strange_page_is_refused_before_anything_is_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr(site.box.hand_ins, "take", begun.append)
    async with site.browser(learner(site)) as browser:
        assert await send_body(browser, form_start("x" * 40)) == 403
    assert begun == []


async def shown_where(site: Site) -> str:
    async with site.teacher() as teacher:
        return (await teacher.get(marks_path(site)))[1]


async def test_staff_let_a_large_file_go_over_a_line_that_costs_nothing_and_read_where_it_is(site: Site) -> None:
    hub, origin = Hub(SigningKey(b"h" * 32).verify_key, bytes(32), 1), SigningKey(b"h" * 32).verify_key.key_id
    await site.box.database.write(lambda db: changes.put_hub(db, "http://127.0.0.1:9", hub, 1))
    await hand_in(site.box, learner(site).no, 1, file=photo(3_000_000))
    text = await shown_where(site)
    assert "waits for a stick" in text and "Send it by the line now" not in text
    await site.box.line.set_tariff(Tariff(is_metered=False))
    assert "Send it by the line now" in await shown_where(site)
    async with site.teacher() as teacher:
        path = f"/staff/classes/{site.school.class_no}/assignments/1/hand-ins/1/send"
        response, _ = await teacher.post(path, {})
        assert response.status == 403
        response, _ = await teacher.submit(path)
        assert (response.status, response.headers["Location"]) == (303, marks_path(site))
    text = await shown_where(site)
    assert "goes to the hub at the hours for large packs" in text and "Send it by the line now" not in text
    await site.box.database.write(lambda db: stored.note_sent(db, 1, 1))
    assert "The file was sent; the hub will confirm it." in await shown_where(site)
    id_ = (await rows(site, "SELECT id FROM hand_in"))[0][0]
    arrived = (int(Entity.HAND_IN), id_, int(HandInField.ARRIVED_MS), "5", 1, origin)
    await site.box.database.write(lambda db: db.execute(ARRIVED, arrived) and None)
    assert "The hub has the file." in await shown_where(site)


async def test_staff_read_that_a_small_file_goes_with_the_line(site: Site) -> None:
    hub = Hub(SigningKey(b"h" * 32).verify_key, bytes(32), 1)
    await hand_in(site.box, learner(site).no, 1, file=photo(3_000))
    assert "The file goes to the hub" not in await shown_where(site)
    await site.box.database.write(lambda db: changes.put_hub(db, "http://127.0.0.1:9", hub, 1))
    assert "The file goes to the hub with the line." in await shown_where(site)


async def test_nothing_at_all_and_too_often_are_refused_in_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_ins, "HAND_INS_MAX", 2)
    assert HAND_INS_MAX > 2
    async with site.browser(learner(site)) as browser:
        status, text = await submit(browser, " \r\n ")
        assert status == 422 and "there is nothing to hand in" in text
        for number in range(2):
            assert (await submit(browser, f"try {number}"))[0] == 303
        status, text = await submit(browser, "try 3")
        assert status == 422 and "too often" in text


async def test_a_box_without_space_says_so_before_it_takes_anything_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.box.hand_ins, "_measure", lambda _folder: DiskSpace(100_000_000, 1_000_000_000))
    async with site.browser(learner(site)) as browser:
        status, text = await submit(browser, file=photo(3_000))
    assert status == 507 and "too little space" in text
    assert await kept(site) == []


async def test_no_name_of_a_file_is_kept_anywhere(site: Site) -> None:
    async with site.browser(learner(site)) as browser:
        await submit(browser, file=photo(3_000), name="Amina Okoro.jpg")
    found = await asyncio.to_thread(lambda: [path.read_bytes() for path in site.box.settings.data.glob("box.db*")])
    assert not any(b"Okoro" in content for content in found)
    assert not any("Okoro" in name for name in await kept(site))


async def test_a_file_of_another_box_is_named_and_not_linked(site: Site) -> None:
    await hand_in(site.box, learner(site).no, 1, file=photo(3_000))
    name = (await kept(site))[0]
    await site.box.database.write(lambda db: db.execute("DELETE FROM file") and None)
    await asyncio.to_thread((site.box.settings.hand_ins / name[:2] / name).unlink)
    async with site.teacher() as teacher:
        _, text = await teacher.get(marks_path(site))
        assert "Photo" in text and "/staff/hand-ins/1/file" not in text
        response, _ = await teacher.get("/staff/hand-ins/1/file")
        assert response.status == 404


async def test_what_interrupted_uploads_left_is_gone_after_the_next_start(tmp_path: Path) -> None:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    left = school.settings.hand_ins / "incoming" / "x.part"
    await asyncio.to_thread(left.parent.mkdir)
    await asyncio.to_thread(left.write_bytes, b"half")
    async with running_box(school.settings, Part.APP):
        assert not left.exists()


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\xff\xd8\xff\xe1\x00\x00Exif\x00\x00\x00\x00\x00\x00", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", None),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "image/heic"),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00", "audio/mp4"),
        (b"\x00\x00\x00\x18ftyp3gp4\x00\x00\x00\x00", "video/3gpp"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00", "video/mp4"),
        (b"\x00\x00\x00\x18ftyp", None),
        (b"OggS\x00\x02", "audio/ogg"),
        (b"%PDF-1.7", "application/pdf"),
        (b"<!doctype html>", None),
        (b"", None),
    ],
)
def test_a_file_is_what_its_first_bytes_say(start: bytes, media_type: str | None) -> None:
    assert media_type_of(start) == media_type
