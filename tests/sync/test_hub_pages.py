"""The hub's enrolment over the wire, its pages, headers, commands and tables."""

import asyncio
import json
import re
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from content_packs.base.errors import all_error_classes
from content_packs.base.signing import SigningKey
from edgebox.cli import main
from sync.enrolment import make_request
from sync.hub.body import GRACE_MS
from sync.hub.enrolling import CODE_LIFE_MS, TRIES_MAX, TRIES_WINDOW_MS
from sync.hub.errors import LetterMalformed
from sync.hub.store.schema import METADATA
from tests.support.clock import FakeClock
from tests.sync.hub_support import TYPE, TestHub, hub_on
from tests.sync.makers import NOW_MS, answered, completed, registries


async def enroll(hub: TestHub, code: str, key: SigningKey) -> tuple[int, dict[str, object]]:
    async with hub.session.post(hub.url + "/api/enroll", json=make_request(code, key)) as response:
        return response.status, await response.json()


async def test_a_code_is_good_for_one_box_and_for_that_box_again(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        code, key = await hub.listening.hub.enrolling.make_code("Hill School"), SigningKey.generate()
        assert (await enroll(hub, code, key))[0] == 200
        assert (await enroll(hub, code, key))[1]["box_no"] == 1
        status, answer = await enroll(hub, code, SigningKey.generate())
        assert (status, answer["code"]) == (403, "hub.enrolment_code_used")
        assert len(await hub.rows("SELECT * FROM box")) == 1


async def test_a_code_expires_after_seven_days(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path, clock) as hub:
        code = await hub.listening.hub.enrolling.make_code("Hill School")
        clock.advance(CODE_LIFE_MS)
        status, answer = await enroll(hub, code, SigningKey.generate())
        assert (status, answer["code"]) == (403, "sync.enrolment_expired")


async def test_the_code_itself_is_not_on_the_disk(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        code = await hub.listening.hub.enrolling.make_code("Hill School")
        secret = bytes.fromhex(make_request(code, SigningKey.generate())["code"])
        await hub.rows("SELECT 1")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


async def test_too_many_wrong_codes_have_to_wait(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path, clock) as hub:
        good = await hub.listening.hub.enrolling.make_code("Hill School")
        wrong, key = "A" * 24, SigningKey.generate()
        statuses = [(await enroll(hub, wrong, key))[0] for _ in range(TRIES_MAX)]
        assert set(statuses) == {403}
        assert (await enroll(hub, good, key))[0] == 429
        clock.advance(TRIES_WINDOW_MS + 1)
        assert (await enroll(hub, good, key))[0] == 200


async def test_a_proof_by_another_key_enrols_nobody(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        code = await hub.listening.hub.enrolling.make_code("Hill School")
        request = make_request(code, SigningKey.generate())
        request["verify_key"] = SigningKey.generate().verify_key.raw.hex()
        async with hub.session.post(hub.url + "/api/enroll", json=request) as response:
            assert (await response.json())["code"] == "hub.enrolment_proof_invalid"
        assert await hub.rows("SELECT * FROM box") == []


async def test_figures_are_shown_only_after_the_one_time_code(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled("Hill School")
        await hub.post(maker.next([*registries(), answered(1), completed(2)]))
        assert "Hill School" not in await text(hub, "/")
        code = hub.listening.first_admin_code
        async with hub.session.post(hub.url + "/sign-in", data={"code": "wrong"}) as response:
            assert response.status == 403
        async with hub.session.post(hub.url + "/sign-in", data={"code": code}) as response:
            page = await response.text()
        assert response.status == 200
        for shown in ("Hill School", "K7QF", "org.example.sums", "In touch", maker.key.verify_key.key_id.hex()[:12]):
            assert shown in page
        async with hub.session.post(hub.url + "/sign-out") as response:
            assert "Hill School" not in await response.text()


async def test_a_signed_in_operator_makes_codes_and_nobody_else_does(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        async with hub.session.post(hub.url + "/codes", data={"school": "Lake School"}) as response:
            assert response.status == 403
        await hub.session.post(hub.url + "/sign-in", data={"code": hub.listening.first_admin_code})
        async with hub.session.post(hub.url + "/codes", data={"school": "Lake School"}) as response:
            [code] = set(re.findall(r"(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}", await response.text()))
        assert (await enroll(hub, code, SigningKey.generate()))[0] == 200
        assert await hub.rows("SELECT title FROM school") == [("Lake School",)]


async def test_the_one_time_code_works_once_and_is_given_out_once(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        code = hub.listening.first_admin_code
        assert code is not None
        assert await hub.listening.hub.admin.sign_in(code) is not None
        assert await hub.listening.hub.admin.sign_in(code) is None
    async with hub_on(tmp_path) as hub:
        assert hub.listening.first_admin_code is None


async def test_a_new_one_time_code_makes_the_older_one_void_and_a_session_ends_after_thirty_days(
    tmp_path: Path,
) -> None:
    async with hub_on(tmp_path, clock := FakeClock(NOW_MS)) as hub:
        admin = hub.listening.hub.admin
        older, newer = await admin.make_code(), await admin.make_code()
        assert await admin.sign_in(older) is None
        token = await admin.sign_in(newer)
        clock.advance(30 * 86_400_000 - 1)
        assert await admin.is_signed_in(token)
        clock.advance(1)
        assert not await admin.is_signed_in(token)


async def test_a_school_title_is_text_and_never_markup(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        await hub.enrolled("<script>alert(1)</script>")
        await hub.session.post(hub.url + "/sign-in", data={"code": hub.listening.first_admin_code})
        page = await text(hub, "/")
        assert "<script" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("path", ["/", "/hub.css", "/nowhere", "/ping", "/api/bundles"])
async def test_every_answer_has_the_security_headers(tmp_path: Path, path: str) -> None:
    async with hub_on(tmp_path) as hub, hub.session.get(hub.url + path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"


async def test_another_host_name_and_another_origin_are_refused(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        async with hub.session.get(hub.url + "/", headers={"Host": "evil.example"}) as response:
            assert response.status == 421
        headers = {"Origin": "http://evil.example"}
        async with hub.session.post(hub.url + "/sign-in", data={"code": "x"}, headers=headers) as response:
            assert response.status == 403


@pytest.mark.parametrize(
    "host", ["192.168.1.10", "192.168.1.10:8090", "[fd00::1]:8090", "127.0.0.1", "[::1]", "LOCALHOST."]
)
async def test_the_hub_answers_to_its_addresses_as_the_box_does(tmp_path: Path, host: str) -> None:
    async with hub_on(tmp_path) as hub, hub.session.get(hub.url + "/", headers={"Host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/api/bundles", TYPE["Content-Type"]), ("/sign-in", "application/x-www-form-urlencoded")],
)
async def test_a_body_that_drips_is_cut_off(tmp_path: Path, path: str, content_type: str) -> None:
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path, clock) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.listening.port)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        writer.write(head.encode() + b"Content-Length: 10000\r\n\r\nE")
        await writer.drain()
        answer = asyncio.create_task(reader.readline())
        while not answer.done():
            clock.advance(GRACE_MS)
            writer.write(b"B")
            await asyncio.sleep(0)
        assert b"408" in await answer
        writer.close()


async def test_an_upgraded_database_is_what_the_tables_say(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        differences = await hub.listening.hub.store.run(
            lambda connection: compare_metadata(MigrationContext.configure(connection), METADATA)
        )
        assert differences == []
        assert await hub.rows("PRAGMA synchronous") == [(2,)]
        assert await hub.rows("PRAGMA journal_mode") == [("wal",)]


async def test_commands_reach_the_hub_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / ("deep" * 30)
    async with hub_on(data) as hub:
        await run(data, "enroll", "--school", "Lake School")
        code = json.loads(capsys.readouterr().out)["code"]
        assert (await enroll(hub, code, SigningKey.generate()))[0] == 200
        await run(data, "boxes")
        assert json.loads(capsys.readouterr().out)["boxes"][0]["school"] == "Lake School"
        await run(data, "message", "--school", "Lake School", "--days", "2", "Exams begin on Monday.")
        assert await hub.rows("SELECT text, until_ms > 0, box_no FROM message JOIN school_change ON kind = 15") == [
            ("Exams begin on Monday.", 1, None)
        ]
        capsys.readouterr()
        await run(data, "admin")
        assert await hub.listening.hub.admin.sign_in(json.loads(capsys.readouterr().out)["code"]) is not None
        assert stat.S_IMODE((await asyncio.to_thread((data / "hub.sock").stat)).st_mode) == 0o600


def test_commands_work_without_a_running_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hub", "boxes", "--data", str(tmp_path), "--json"]) == 38
    assert main(["hub", "enroll", "--data", str(tmp_path), "--json"]) == 0
    assert main(["hub", "report", "--data", str(tmp_path), "--json"]) == 0
    for asked in (["--school", "Nowhere", "x"], ["--days", "0", "x"], [" "]):
        assert main(["hub", "message", *asked, "--data", str(tmp_path), "--json"]) == LetterMalformed.exit_code
    (tmp_path / "stick").mkdir()
    assert main(["hub", "import", str(tmp_path / "stick"), "--data", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"taken": 0, "met": 0, "refused": {}, "put": 0}


def test_error_codes_and_exit_codes_of_sync_are_unique_and_in_their_family() -> None:
    ours = [found for found in all_error_classes() if found.code.startswith(("sync.", "hub."))]
    assert len({found.code for found in ours}) == len(ours)
    assert len({found.exit_code for found in all_error_classes()}) == len(all_error_classes())
    families = (range(8, 10), range(30, 50), range(70, 80), range(116, 120), range(249, 255))
    assert all(any(found.exit_code in family for family in families) for found in ours)


async def text(hub: TestHub, path: str) -> str:
    async with hub.session.get(hub.url + path) as response:
        return await response.text()


async def run(data: Path, *arguments: str) -> None:
    assert await asyncio.to_thread(main, ["hub", *arguments, "--data", str(data), "--json"]) == 0


async def signed_in(hub: TestHub) -> None:
    code = await hub.listening.hub.admin.make_code()
    async with hub.session.post(hub.url + "/sign-in", data={"code": code}) as response:
        assert response.status == 200


async def test_an_operator_sends_a_message_to_one_school_or_to_all(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        await signed_in(hub)
        async with hub.session.get(hub.url + "/") as response:
            assert "Message to teachers" not in await response.text()
        for school in ("Hill <School>", "Valley School"):
            await hub.enrolled(school)
        async with hub.session.get(hub.url + "/") as response:
            assert '<option value="Hill &lt;School&gt;">' in await response.text()
        for school, text in (("Hill <School>", "One"), ("", "Two")):
            async with hub.session.post(hub.url + "/messages", data={"school": school, "text": text}) as response:
                assert "The message is on its way" in await response.text()
        found = await hub.rows("SELECT title, text FROM message JOIN school ON school.no = school_no ORDER BY 1, 2")
        assert found == [("Hill <School>", "One"), ("Hill <School>", "Two"), ("Valley School", "Two")]
        for fields in ({"school": "Nowhere", "text": "x"}, {"text": " "}, {"text": "x" * 5_000}):
            async with hub.session.post(hub.url + "/messages", data=fields) as response:
                assert (response.status, (await response.json())["code"]) == (400, "hub.letter_malformed")


async def test_nobody_else_sends_a_message(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        await hub.enrolled()
        async with hub.session.post(hub.url + "/messages", data={"text": "x"}) as response:
            assert response.status == 403
        await signed_in(hub)
        evil = {"Origin": "http://evil.example"}
        async with hub.session.post(hub.url + "/messages", data={"text": "x"}, headers=evil) as response:
            assert response.status == 403
        assert await hub.rows("SELECT * FROM message") == []
