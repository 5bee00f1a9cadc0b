"""The teacher's page about the hub: states in words, by line and by stick."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base.clock import SystemClock
from content_packs.base.signing import SealingKey, SigningKey
from edgebox.store import changes
from edgebox.store.identities import Reason
from sync.enrolment import Hub
from sync.introduction import Ticket, fingerprint, write_ticket
from sync.transport import folder, tickets
from tests.support.box import School
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.support.site import Site, site_with_sticks
from tests.sync.hub_support import hub_on
from tests.sync.school_scene import HILL

CODE = "-".join(["ABCD"] * 6)
CLOSED = "http://127.0.0.1:9"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    def put_in(_school: School) -> None:
        (tmp_path / "media" / "STICK" / "edgebox").mkdir(parents=True)

    async with site_with_sticks(tmp_path, put_in) as site:
        yield site


async def enrol(site: Site) -> None:
    """Make the box know a hub that does not answer."""
    hub = Hub(SigningKey.generate().verify_key, SealingKey.generate().public, 1)
    await site.box.database.write(lambda connection: changes.put_hub(connection, CLOSED, hub, 1))


async def test_a_box_without_a_centre_says_what_waits_and_how_to_connect(site: Site) -> None:
    async with site.teacher() as browser:
        response, text = await browser.get("/staff/sync")
        assert response.status == 200
        assert "Connect to a hub" in text
        assert "never" in text
        assert "Sync now" not in text


@pytest.mark.parametrize(
    "url", ["", "ftp://hub.example", "javascript:alert(1)", "http://", "https://a@b/", "http://[::1"]
)
async def test_an_address_that_is_none_is_refused(site: Site, url: str) -> None:
    async with site.teacher() as browser:
        response, text = await browser.submit("/staff/sync/enroll", url=url, code="K7QF-2M9X-TB4R")
        assert response.status == 400
        assert 'javascript:alert(1)">' not in text


async def test_a_centre_that_does_not_answer_is_explained_and_the_address_stays(site: Site) -> None:
    async with site.teacher() as browser:
        response, text = await browser.submit("/staff/sync/enroll", url=CLOSED, code=CODE)
        assert response.status == 503
        assert "The hub cannot be reached (nothing answers at its address)." in text
        assert "by itself" not in text
        assert "Error" not in text
        assert f'value="{CLOSED}"' in text
        assert 'class="notice notice--no"' in text


async def test_a_failed_try_is_shown_until_the_next_success(site: Site) -> None:
    await enrol(site)
    async with site.teacher() as browser:
        response, text = await browser.submit("/staff/sync/now")
        assert response.status == 200
        assert 'class="notice notice--no"' in text
        _, text = await browser.get("/staff/sync")
        assert 'class="notice"' in text
        assert CLOSED in text


@pytest.mark.parametrize(("size_bytes", "done"), [(50_000, "sent"), (3_000_000, "files")])
async def test_all_is_said_to_be_sent_only_when_no_file_waits(
    site: Site, tmp_path: Path, size_bytes: int, done: str
) -> None:
    async with hub_on(tmp_path / "hub", SystemClock()) as hub, site.teacher() as browser:
        await site.box.syncing.enroll(hub.url, await hub.listening.hub.enrolling.make_code(HILL))
        await give_lesson(site.box, site.school.class_no)
        assert await hand_in(site.box, site.school.learners[0].no, 1, "", photo(size_bytes))
        response, _ = await browser.submit("/staff/sync/now")
        assert response.headers["Location"] == f"/staff/sync?done={done}"
        _, text = await browser.get(response.headers["Location"])
        assert ("Everything has been sent." in text) == (done == "sent")
        assert ("Files that were handed in still wait" in text) == (done == "files")


async def test_one_button_exchanges_with_a_stick_but_with_nothing_else(site: Site) -> None:
    await enrol(site)
    stick = site.box.settings.stick_folders[0] / "STICK"
    async with site.teacher() as browser:
        for place in (str(site.box.settings.data), "/etc", f"{stick}/..", ""):
            for action in ("sticks", "sticks/always"):
                response, _ = await browser.submit(f"/staff/sync/{action}", stick=place)
                assert response.status == 404
        _, text = await browser.get("/staff/sync")
        assert "Exchange with this stick" in text
        assert site.box.exchanging.current is None
        response, _ = await browser.submit("/staff/sync/sticks", stick=str(stick))
        assert response.status == 303
        async for _ in site.box.exchanging.watch():
            pass
        _, text = await browser.get("/staff/sync/sticks")
        assert "Everything that the hub lacks is on the stick (" in text
        assert "You can pull it out" in text
    assert len(await asyncio.to_thread(folder.list_bundles, stick)) == 1


async def test_a_stick_without_a_centre_is_explained(site: Site) -> None:
    stick = site.box.settings.stick_folders[0] / "STICK"
    async with site.teacher() as browser:
        response, text = await browser.submit("/staff/sync/sticks", stick=str(stick))
        assert response.status == 409
        assert "not connected to a hub" in text


async def test_staff_choose_which_sticks_are_always_exchanged_with(site: Site) -> None:
    await enrol(site)
    stick = site.box.settings.stick_folders[0] / "STICK"
    async with site.teacher() as browser:
        await browser.submit("/staff/sync/sticks/always", stick=str(stick), always="on")
        _, text = await browser.get("/staff/sync/sticks")
        assert "exchanged with by itself" in text
        await browser.submit("/staff/sync/sticks/always", stick=str(stick))
        _, text = await browser.get("/staff/sync/sticks")
        assert "Always exchange with this stick" in text
    assert site.box.exchanging.current is None


async def test_the_state_costs_a_304_until_something_changes(site: Site) -> None:
    async with site.teacher() as browser:
        response, text = await browser.get("/staff/sync/state")
        assert text.lstrip().startswith('<section id="sync-state"')
        etag = {"If-None-Match": response.headers["ETag"]}
        response, _ = await browser.get("/staff/sync/state", **etag)
        assert response.status == 304
        await site.box.teaching.add_class("New")
        response, _ = await browser.get("/staff/sync/state", **etag)
        assert response.status == 200


async def put_ticket(site: Site, **changes: object) -> Ticket:
    """Put the ticket of a hub on the stick that is in the box."""
    hub, sealing = SigningKey.generate(), SealingKey.generate()
    now_ms = site.box.clock.now_ms()
    ticket = Ticket(hub.verify_key, sealing.public, CLOSED, "Hill <School>", bytes(10), now_ms, now_ms + 10**9)
    ticket = replace(ticket, **changes)  # type: ignore[arg-type]
    stick = next(iter(await site.box.loading.sticks.mounted()))
    await asyncio.to_thread(tickets.write_ticket, stick, "0", write_ticket(ticket, hub))
    return ticket


async def test_a_ticket_is_shown_with_its_hub_and_does_nothing_until_somebody_presses_the_button(site: Site) -> None:
    ticket = await put_ticket(site, replaces_no=7)
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/sync")
        assert fingerprint(ticket.hub) in text
        assert "Hill &lt;School&gt;" in text
        assert "box 7" in text
        assert (await site.box.syncing.status()).hub_url is None
        named = re.findall(r'name="(stick|ticket)" value="([^"]+)"', text)
        response, _ = await browser.submit("/staff/sync/ticket", **dict(named))
        assert (response.status, response.headers["Location"]) == (303, "/staff/sync?done=ticket")
    assert (await site.box.syncing.status()).hub_url == CLOSED


async def test_what_is_pressed_is_what_was_shown(site: Site) -> None:
    await put_ticket(site)
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/sync")
        named = dict(re.findall(r'name="(stick|ticket)" value="([^"]+)"', text))
        await put_ticket(site)
        for fields in (named, named | {"stick": "/etc"}, named | {"ticket": "../../x"}):
            response, _ = await browser.submit("/staff/sync/ticket", **fields)
            assert response.status == 404
    assert (await site.box.syncing.status()).hub_url is None


async def test_an_old_ticket_is_explained(site: Site) -> None:
    await put_ticket(site, expires_ms=1)
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/sync")
        named = dict(re.findall(r'name="(stick|ticket)" value="([^"]+)"', text))
        response, text = await browser.submit("/staff/sync/ticket", **named)
        assert response.status == 403
        assert "too old" in text


@pytest.mark.parametrize(
    ("reason", "said"),
    [(Reason.COPIED, "copied, moved or restored"), (Reason.RESTORED, "older than"), (Reason.HUB, "Another box works")],
)
async def test_staff_are_told_in_one_sentence_that_the_box_got_a_new_key(
    site: Site, reason: Reason, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/sync")
        assert "new key" not in text
        await site.box.syncing.introducing.renew(reason)
        _, text = await browser.get("/staff/sync")
        assert said in text
        assert text.count("nothing is lost, and there is nothing to do.") == 1
        month_ms = 30 * 86_400_000
        renewed_ms = site.box.clock.now_ms()
        monkeypatch.setattr(site.box.clock, "now_ms", lambda: renewed_ms + month_ms + 60_000)
        _, text = await browser.get("/staff/sync")
        assert said not in text
