"""Tickets, boxes in the place of others and revoked boxes, as the operator handles them on the page and by commands."""

import json
from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from edgebox.cli import main
from sync.hub.enrolling import CODE_LIFE_MS
from sync.introduction import fingerprint, read_ticket
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS
from tests.sync.test_hub_pages import enroll, text


async def signed_in(hub: TestHub) -> None:
    code = await hub.listening.hub.admin.make_code()
    async with hub.session.post(hub.url + "/sign-in", data={"code": code}) as response:
        assert response.status == 200


async def test_the_page_makes_tickets_for_the_address_it_is_asked_under(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        await signed_in(hub)
        async with hub.session.post(hub.url + "/tickets", data={"school": "Hill School"}) as response:
            assert response.status == 200
            assert response.headers["Content-Disposition"].endswith('.ebi"')
            ticket = read_ticket(await response.read())
        assert (ticket.school, ticket.url, ticket.expires_ms) == ("Hill School", hub.url, NOW_MS + CODE_LIFE_MS)
        assert fingerprint(ticket.hub) in await text(hub, "/")


async def test_an_operator_revokes_a_box_on_the_page_and_takes_it_back(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        await hub.enrolled()
        await signed_in(hub)
        await hub.session.post(hub.url + "/revoke", data={"box": "1"})
        assert "Revoked" in await text(hub, "/")
        await hub.session.post(hub.url + "/revoke", data={"box": "1", "undo": "1"})
        assert "Revoked" not in await text(hub, "/")
        for number in ("2", "x", "", "9" * 30):
            async with hub.session.post(hub.url + "/revoke", data={"box": number}) as response:
                assert response.status == 404


@pytest.mark.parametrize("path", ["/tickets", "/revoke", "/codes"])
async def test_strangers_invite_and_revoke_nobody(tmp_path: Path, path: str) -> None:
    async with hub_on(tmp_path) as hub:
        await hub.enrolled()
        async with hub.session.post(hub.url + path, data={"school": "x", "box": "1", "replaces": "1"}) as response:
            assert response.status == 403
        assert await hub.rows("SELECT revoked_ms FROM box") == [(None,)]


async def test_a_box_in_place_of_another_is_of_its_school(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        await hub.enrolled("Hill School")
        await signed_in(hub)
        async with hub.session.post(hub.url + "/tickets", data={"replaces": "1"}) as response:
            ticket = read_ticket(await response.read())
        assert (ticket.school, ticket.replaces_no) == ("Hill School", 1)
        code = await hub.listening.hub.enrolling.make_code("", 1)
        await enroll(hub, code, SigningKey.generate())
        assert await hub.rows("SELECT school_no, replaces_no FROM box ORDER BY no") == [(1, None), (1, 1)]
        assert "Replaced by box 2" in await text(hub, "/")
        async with hub.session.post(hub.url + "/codes", data={"replaces": "9"}) as response:
            assert response.status == 404


def test_tickets_and_revoking_at_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stick, common = tmp_path / "stick", ["--data", str(tmp_path / "hub"), "--json"]
    stick.mkdir()
    address = ["--address", "https://hub.example"]
    assert main(["hub", "enroll", "--school", "Hill School", "--stick", str(stick), *address, *common]) == 0
    made = json.loads(capsys.readouterr().out)
    ticket = read_ticket(Path(made["file"]).read_bytes())
    assert (ticket.school, ticket.url, fingerprint(ticket.hub)) == (
        "Hill School",
        "https://hub.example",
        made["fingerprint"],
    )
    assert main(["hub", "enroll", "--stick", str(tmp_path / "none"), *address, *common]) == 46
    assert main(["hub", "enroll", "--stick", str(stick), "--address", "no address", *common]) == 74
    assert main(["hub", "enroll", "--replaces", "3", *common]) == 119
    assert main(["hub", "revoke", "3", *common]) == 119
