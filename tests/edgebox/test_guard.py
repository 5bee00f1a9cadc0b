"""What stands in front of every route, held for all routes of the table: a new route is tested when it is added."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, DummyCookieJar

from edgebox.app import running_box
from edgebox.domain.secret import SecretKind
from edgebox.domain.session import Access, Session
from edgebox.http.guard import LIVE_HEADER, SAFE_METHODS
from edgebox.http.routes import ROUTES, Route
from edgebox.keys import Box
from edgebox.services.signed_in import token_hash
from tests.support.box import Person, School, make_school

WRITES = [route for route in ROUTES if route.method not in SAFE_METHODS]
NEEDED_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The other one is open to any origin: the key in its address is the secret, it reads no cookie and no body (cmi5 8.2).
GUARDED = [route for route in WRITES if route.path != "/cmi5/fetch/{key}"]


@dataclass
class Site:
    """A running box and a client that keeps no cookies of its own."""

    school: School
    box: Box
    client: ClientSession

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.box.settings.port}"

    def person(self, route: Route) -> Person | None:
        """Return somebody who may use a route."""
        if route.access is Access.PUBLIC:
            return None
        return self.school.teacher if route.access is Access.TEACHER else self.school.learners[0]

    async def ask(self, route: Route, person: Person | None, **headers: str) -> tuple[int, str, ClientResponse]:
        """Return status, error code and response."""
        return await self.send(route.method, path_of(route), person, headers)

    async def send(
        self, method: str, path: str, person: Person | None, headers: dict[str, str], body: Any = None
    ) -> tuple[int, str, ClientResponse]:
        if person is not None:
            headers = headers | {"Cookie": f"edgebox_session={person.session}"}
        async with self.client.request(method, path, headers=headers, data=body, allow_redirects=False) as answer:
            is_json = answer.content_type == "application/json" and answer.status >= 400
            record = await answer.json() if is_json else {}
            return answer.status, record.get("code", "") if isinstance(record, dict) else "", answer

    async def session(self, person: Person) -> Session:
        found = self.box.signing_in.find_session(person.session)
        assert found is not None
        return found

    async def content(self) -> list[Any]:
        """Return every row of every table."""

        def dump(connection: Any) -> list[Any]:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return [[tuple(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in sorted(names)]

        return await self.box.database.read(dump)


def path_of(route: Route) -> str:
    """Fill the placeholders of a path."""
    return re.sub(
        r"\{(\w+)(?::[^}]*)?\}", lambda found: "1" if found[1].endswith(("_no", "version")) else "x", route.path
    )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path)
    async with running_box(school.settings) as running:
        assert running.box is not None
        async with ClientSession(running.address, cookie_jar=DummyCookieJar()) as client:
            yield Site(school, running.box, client)


async def test_no_route_takes_a_write_from_another_origin(site: Site) -> None:
    settings = site.box.settings
    forged = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{settings.content_port}"},
        {"Origin": f"https://127.0.0.1:{settings.port}"},
        {"Origin": f"http://localhost:{settings.port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    before = await site.content()
    for route in GUARDED:
        for headers in forged:
            status, code, _ = await site.ask(route, site.person(route), **headers)
            assert (status, code) == (403, "http.origin_refused"), (route, headers)
    assert await site.content() == before


async def test_a_form_must_repeat_what_the_session_gave_it(site: Site) -> None:
    before = await site.content()
    other = (await site.session(site.school.learners[1])).csrf
    for route in WRITES:
        if not route.form:
            continue
        person = site.person(route) or site.school.learners[0]
        for csrf in ("", "0" * 32, other):
            status, code, _ = await site.send("POST", path_of(route), person, {"Origin": site.origin}, {"csrf": csrf})
            assert (status, code) == (403, "http.origin_refused"), route
    assert await site.content() == before


async def test_the_right_origin_and_form_token_pass_the_guard_however_much_is_ticked(site: Site) -> None:
    person = site.school.learners[0]
    more = {f"part-{number}": f"org.example.one/part-{number}" for number in range(1_500)}
    form = {"csrf": (await site.session(person)).csrf, **more}
    status, _, answer = await site.send("POST", "/sign-out", person, {"Origin": site.origin}, form)
    assert status == 303
    assert 'edgebox_session="";' in answer.headers["Set-Cookie"]
    assert site.box.signing_in.find_session(person.session) is None


async def test_every_route_is_closed_to_those_it_is_not_for(site: Site) -> None:
    for route in ROUTES:
        if route.access in (Access.PUBLIC, Access.CLIENT):
            continue
        assert (await site.ask(route, None))[:2] == (401, "http.sign_in_needed"), route
        if route.access is Access.TEACHER:
            assert (await site.ask(route, site.school.learners[0]))[:2] == (403, "http.not_allowed"), route


@pytest.mark.parametrize("host", ["evil.example", "edgebox.evil.example", "127.0.0.1.nip.io", "_"])
async def test_no_route_answers_to_a_foreign_name(site: Site, host: str) -> None:
    for route in ROUTES:
        status, code, _ = await site.ask(route, site.person(route), Host=host)
        assert (status, code) == (421, "http.host_refused"), route


async def test_a_refused_name_is_told_with_how_to_add_it(site: Site) -> None:
    async with site.client.get("/", headers={"Host": "Hill.Example:8080", "Accept": "text/html"}) as answer:
        text = await answer.text()
    assert answer.status == 421
    assert "does not know the name hill.example." in text
    assert "--hostname hill.example" in text


@pytest.mark.parametrize("host", ["raspberrypi.local", socket.gethostname(), f"{socket.gethostname()}.local"])
async def test_a_box_answers_to_the_names_of_its_machine(site: Site, host: str) -> None:
    assert (await site.send("GET", "/ping", None, {"Host": f"{host.upper()}:8080"}))[0] == 204


async def test_every_answer_has_the_security_headers(site: Site) -> None:
    answers = [(await site.ask(route, site.person(route)))[2] for route in ROUTES]
    answers += [(await site.ask(route, None))[2] for route in ROUTES]
    answers.append((await site.send("GET", "/nowhere", None, {}))[2])
    answers.append((await site.send("PATCH", "/ping", None, {}))[2])
    answers.append((await site.send("GET", "/", None, {"Host": "evil.example"}))[2])
    for answer in answers:
        for name, value in NEEDED_HEADERS.items():
            assert answer.headers.get(name) == value, (answer.method, answer.url, answer.status, name)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy or policy.startswith("sandbox; default-src 'none'")
        assert "unsafe" not in policy
        assert "Cache-Control" in answer.headers
        assert answer.headers["Server"] == "edgebox"
    assert {answer.status for answer in answers} >= {200, 204, 401, 404, 405, 421}


async def test_a_refused_method_says_which_are_allowed(site: Site) -> None:
    answer = (await site.send("PATCH", "/ping", None, {}))[2]
    assert answer.status == 405
    assert {method.strip() for method in answer.headers["Allow"].split(",")} >= {"GET", "HEAD"}


@pytest.mark.parametrize("host", ["[fe80::1%; script-src *]", "edgebox; script-src *"])
async def test_no_part_of_a_host_header_gets_into_the_policy(site: Site, host: str) -> None:
    answer = (await site.send("GET", "/", None, {"Host": host}))[2]
    assert answer.status == 421
    assert "script-src" not in answer.headers["Content-Security-Policy"]


async def test_no_answer_about_a_person_may_be_kept_by_a_cache(site: Site) -> None:
    for route in ROUTES:
        if route.access is Access.PUBLIC or route.method != "GET":
            continue
        cached = (await site.ask(route, site.person(route)))[2].headers["Cache-Control"]
        assert "no-store" in cached or "private" in cached, route


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(site: Site, encoding: str) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
    for path in ("/api/outbox", "/sign-in/1", "/language", "/staff"):
        assert (await site.send("POST", path, None, headers, b"xx"))[:2] == (400, "http.body_malformed"), path


async def test_a_live_part_of_a_page_is_no_use_of_the_session(site: Site) -> None:
    teacher = site.school.teacher
    entry = site.box.signing_in._signed_in._entries[token_hash(teacher.session)]
    never_ms = entry.idle_ends_ms = 2**60
    await site.send("GET", "/staff/classes", teacher, {LIVE_HEADER: "1"})
    assert entry.idle_ends_ms == never_ms
    await site.send("GET", "/staff/classes", teacher, {})
    assert entry.idle_ends_ms < never_ms


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(site: Site) -> None:
    for route in GUARDED:
        person = site.person(route)
        cookie = f"Cookie: edgebox_session={person.session}\r\n" if person else ""
        head = (
            f"{route.method} {path_of(route)} HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}Content-Length: 3000000\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        status = await _status(site.box.settings.port, head.encode())
        if route.form and person is not None:
            assert status == 413, route
        # 404: nothing here has the number in the address, and that is said without reading either.
        assert status in (400, 401, 403, 404, 413), route


async def test_a_body_that_grows_too_large_is_refused_while_it_is_read(site: Site) -> None:
    head = b"POST /staff HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    assert await _status(site.box.settings.port, head + b"8000\r\n%s\r\n" % (b"x" * 0x8000) * 9) == 413


async def _status(port: int, request: bytes) -> int:
    """Send the beginning of a request and return the status that comes all the same."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    no = site.school.learners[0].no
    (card,) = await site.box.signing_in.new_secrets([no], SecretKind.PIN)
    headers = {"Origin": site.origin}
    status, _, answer = await site.send("POST", f"/sign-in/{no}", None, headers, {"pin": card.secret})
    assert status == 303
    cookies = {line.split("=")[0]: line for line in answer.headers.getall("Set-Cookie")}
    assert set(cookies) == {"edgebox_session", "edgebox_device"}
    for line in cookies.values():
        assert "HttpOnly" in line
        assert "Path=/" in line
    assert "SameSite=Strict" in cookies["edgebox_session"]


async def test_a_session_planted_before_signing_in_is_not_taken_over(site: Site) -> None:
    no = site.school.learners[0].no
    (card,) = await site.box.signing_in.new_secrets([no], SecretKind.PIN)
    planted = "a" * 40
    headers = {"Origin": site.origin, "Cookie": f"edgebox_session={planted}"}
    _, _, answer = await site.send("POST", f"/sign-in/{no}", None, headers, {"pin": card.secret})
    assert planted not in "".join(answer.headers.getall("Set-Cookie"))
    assert site.box.signing_in.find_session(planted) is None
