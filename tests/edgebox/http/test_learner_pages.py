"""Pages of learners as bytes: small, private, in the right language, and gentle when something is wrong."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar

from content_packs.format import keyfile
from edgebox.app import running_box
from edgebox.domain.secret import PICTURES, SecretKind
from edgebox.keys import Box
from tests.support.box import School, make_school
from tests.support.course import PUBLISHER
from tests.support.small_course import PACK, build_small

FIRST_PAGE_MAX_BYTES = 15 * 1024
NEXT_PAGE_MAX_BYTES = 3 * 1024
LESSON = f"learn/{PACK}/halves"


@pytest.fixture
def school(tmp_path: Path) -> School:
    return make_school(tmp_path / "box", learners=40)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return build_small(tmp_path / "stick", PUBLISHER)


class Visitor:
    """A tablet that counts bytes: nothing is unpacked behind its back."""

    def __init__(self, session: ClientSession, address: str, box: Box, school: School) -> None:
        self.session, self.address, self.box, self.school = session, address, box, school

    async def get(self, path: str, **headers: str) -> tuple[ClientResponse, bytes]:
        wanted = {"Accept-Encoding": "gzip", "Accept": "text/html"} | headers
        async with self.session.get(self.address + path, headers=wanted, allow_redirects=False) as reply:
            return reply, await reply.read()

    async def html(self, path: str, **headers: str) -> str:
        reply, body = await self.get(path, **headers)
        assert reply.status == 200
        return gzip.decompress(body).decode()

    async def post(self, path: str, **fields: str) -> tuple[ClientResponse, str]:
        headers = {"Origin": self.address.rstrip("/"), "Accept": "text/html"}
        async with self.session.post(
            self.address + path, data=fields, headers=headers, allow_redirects=False, auto_decompress=True
        ) as reply:
            return reply, await reply.text()

    def sign_in(self, number: int = 0) -> None:
        self.session.cookie_jar.update_cookies(SimpleCookie(self.school.learners[number].cookies))


@pytest.fixture
async def visitor(school: School, pack: Path) -> AsyncIterator[Visitor]:
    async with running_box(school.settings) as running:
        assert running.box is not None
        await running.box.loading.trust(keyfile.format_public(PUBLISHER.verify_key, "Tests").encode())
        async for _ in running.box.loading.watch(await running.box.loading.start(pack)):
            pass
        async with ClientSession(cookie_jar=CookieJar(unsafe=True), auto_decompress=False) as session:
            yield Visitor(session, running.address, running.box, school)


async def test_the_first_page_with_script_and_style_is_small(visitor: Visitor) -> None:
    _, page = await visitor.get(f"class/{visitor.school.class_no}")
    built = json.loads((files("edgebox") / "web" / "static" / "manifest.json").read_text())
    core_bytes = built["learner.js"]["gzip_bytes"] + built["learner.ltr.css"]["gzip_bytes"]
    assert len(page) + core_bytes <= FIRST_PAGE_MAX_BYTES


@pytest.mark.parametrize("path", ["learn", LESSON, f"{LESSON}/halves-read", f"{LESSON}/halves-quiz", "search?q=half"])
async def test_every_next_page_is_one_small_answer(visitor: Visitor, path: str) -> None:
    visitor.sign_in()
    reply, body = await visitor.get(path)
    assert reply.status == 200
    assert len(body) <= NEXT_PAGE_MAX_BYTES
    assert reply.headers["Cache-Control"] == "no-store"


async def test_built_files_are_kept_for_ever(visitor: Visitor) -> None:
    html = await visitor.html("")
    found = re.search(r'src="/(static/learner\.[0-9a-f]{12}\.js)"', html)
    assert found
    reply, body = await visitor.get(found[1])
    assert "immutable" in reply.headers["Cache-Control"]
    assert gzip.decompress(body).startswith(b"(()=>")


@pytest.mark.parametrize(
    ("accepted", "language", "direction"),
    [("ar-EG,en;q=0.5", "ar", "rtl"), ("zh-CN", "zh-Hans", "ltr"), ("xx", "en", "ltr")],
)
async def test_the_browser_says_the_first_language(
    visitor: Visitor, accepted: str, language: str, direction: str
) -> None:
    html = await visitor.html("", **{"Accept-Language": accepted})
    assert f'<html lang="{language}" dir="{direction}">' in html
    assert f"learner.{direction}." in html


async def test_a_chosen_language_stays(visitor: Visitor) -> None:
    reply, _ = await visitor.post("language", language="fr", next="/learn?x=1")
    assert reply.headers["Location"] == "/learn?x=1"
    assert '<html lang="fr"' in await visitor.html("")


@pytest.mark.parametrize(
    "onward",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\x00/evil.example",
        "/\x7f/evil.example",
        "/learn\\evil.example",
    ],
)
async def test_the_language_switch_leads_nowhere_else(visitor: Visitor, onward: str) -> None:
    reply, _ = await visitor.post("language", language="fr", next=onward)
    assert reply.headers["Location"] == "/"


async def test_wrong_pictures_are_answered_gently_and_not_repeated_in_the_page(visitor: Visitor) -> None:
    person_no = visitor.school.learners[0].no
    await visitor.box.signing_in.new_secrets([person_no], SecretKind.PICTURE)
    reply, html = await visitor.post(f"sign-in/{person_no}", picked=",".join(PICTURES[:3]), picture=PICTURES[3])
    assert reply.status == 401
    assert "That is not right." in html
    assert 'name="picked" value=""' in html


async def test_signing_out_ends_the_session_and_leads_to_the_faces(visitor: Visitor) -> None:
    visitor.sign_in()
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', await visitor.html("learn"))
    assert csrf
    reply, _ = await visitor.post("sign-out", csrf=csrf[1])
    assert reply.headers["Location"] == f"/class/{visitor.school.class_no}"
    assert (await visitor.get("learn"))[0].status == 401


async def test_a_quiz_by_form_is_marked_and_recorded(visitor: Visitor) -> None:
    visitor.sign_in()
    path = f"{LESSON}/halves-quiz"
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', await visitor.html(path))
    assert csrf
    _, _ = await visitor.post(path, csrf=csrf[1], q1="a")
    rows: list[Any] = await visitor.box.database.read(
        lambda connection: connection.execute(
            "SELECT success FROM statement WHERE person_no = ? AND response = 'a'", (visitor.school.learners[0].no,)
        ).fetchall()
    )
    assert [row[0] for row in rows] == [1]
    assert "started" not in await visitor.html(LESSON)
    assert "#done" in await visitor.html(LESSON)


async def test_a_form_that_cannot_be_kept_is_not_said_to_be_saved(visitor: Visitor) -> None:
    visitor.sign_in()
    path = f"{LESSON}/halves-quiz"
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', await visitor.html(path))
    assert csrf
    reply, html = await visitor.post(path, csrf=csrf[1], q1="\0")
    assert reply.status == 400
    assert "record.event_malformed" in html


@pytest.mark.parametrize("path", ["class/99", "class/x", "sign-in/99999999999999999999", "static/no.js", "nothing"])
async def test_what_is_not_there_has_a_page_too(visitor: Visitor, path: str) -> None:
    reply, body = await visitor.get(path)
    assert reply.status == 404
    assert b"<h1" in gzip.decompress(body)


async def test_a_lesson_is_found_only_under_its_own_name(visitor: Visitor) -> None:
    visitor.sign_in()
    reply, _ = await visitor.get(f"learn/{PACK}/other/halves-read")
    assert reply.status == 404
