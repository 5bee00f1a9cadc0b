"""What the hub told, on the pages of teachers: messages to put away, packs to be had, packs taken back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from content_packs.base.signing import SealingKey, SigningKey
from edgebox.store import changes
from sync.bundle.read import verify_bundle
from sync.bundle.write import Range, write_bundle
from sync.enrolment import Hub
from sync.records.kinds import Subject
from sync.records.rows import Message, Offer, Record, Revocation
from tests.support.depot import PACK, PlayDepot
from tests.support.site import Site, site_with_sticks

FAR_MS = 1 << 46
EXAMS = Message(b"e" * 16, "Exams begin on Monday.\n<b>Bring pens.</b>", FAR_MS, 2)


@dataclass
class Told:
    """A served box with a pack, and the key of its hub."""

    site: Site
    hub: SigningKey
    seq: int = 0
    previous: bytes | None = None

    async def tell(self, *records: Record) -> None:
        """Let a bundle of the hub come."""
        self.seq += 1
        box = self.site.box.identity.signing.verify_key
        span = Range(1, self.seq, self.seq, self.seq, self.previous)
        content = write_bundle(records, span, key=self.hub, receiver_public=box.sealing_public, created_ms=1)
        self.previous = verify_bundle(content, {self.hub.verify_key.key_id: self.hub.verify_key}).head.hash
        await self.site.box.receiving.receive(content)


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    return PlayDepot(tmp_path / "media" / "STICK", tmp_path / "work")


@pytest.fixture
async def told(tmp_path: Path, depot: PlayDepot) -> AsyncIterator[Told]:
    async with site_with_sticks(tmp_path, lambda _school: depot.publish()) as site:
        key = SigningKey.generate()
        hub = Hub(key.verify_key, SealingKey.generate().public, 1)
        await site.box.database.write(lambda db: changes.put_hub(db, "http://127.0.0.1:9", hub, 1))
        await site.box.loading.trust(depot.root)
        yield Told(site, key)


async def load(site: Site) -> None:
    (stick,) = await site.box.loading.sticks.look()
    async for _job in site.box.loading.watch(await site.box.loading.start(stick.offers[0].folder)):
        pass


@pytest.mark.parametrize("path", ["/staff/classes", "/staff/packs", "/staff/sync"])
async def test_a_message_shows_on_every_page_of_a_teacher_until_it_is_put_away(told: Told, path: str) -> None:
    await told.tell(EXAMS, Message(b"o" * 16, "Over long ago.", 1, 1))
    async with told.site.teacher() as browser:
        _, text = await browser.get(path)
        assert "Exams begin on Monday.\n&lt;b&gt;Bring pens." in text
        assert "Over long ago." not in text
        for _ in range(2):
            response, _ = await browser.submit("/staff/messages/1/read", next=path)
            assert (response.status, response.headers["Location"]) == (303, path)
        _, text = await browser.get(path)
        assert "Exams begin" not in text
        await told.tell(EXAMS)
        _, text = await browser.get(path)
        assert "Exams begin" not in text


async def test_learners_and_strangers_see_no_message_and_put_none_away(told: Told) -> None:
    await told.tell(EXAMS)
    for person in (told.site.school.learners[0], None):
        async with told.site.browser(person) as browser:
            for path in ("/", "/learn", "/staff"):
                _, text = await browser.get(path)
                assert "Exams" not in text
            response, _ = await browser.post("/staff/messages/1/read", {"csrf": "x"})
            assert response.status in (401, 403)
    assert len(told.site.box.hub_news.messages(told.site.school.teacher.no)) == 1


@pytest.mark.parametrize("away", ["//evil.example/", "https://evil.example/", "", "/\\evil.example"])
async def test_a_message_leads_nowhere_else(told: Told, away: str) -> None:
    await told.tell(EXAMS)
    async with told.site.teacher() as browser:
        response, _ = await browser.submit("/staff/messages/99/read", next=away)
        assert response.headers["Location"] == "/staff/classes"


async def test_a_pack_that_the_hub_has_and_the_box_has_not_is_offered(told: Told) -> None:
    titles = '{"en": "Sums <1>", "fr": "Calcul"}'
    await told.tell(
        Offer("org.example.sums", 3, bytes(32), titles, 7_300_000, 1),
        Offer("org.example.sums", 2, bytes(32), titles, 9_900_000, 1),
        Offer(PACK, 1, bytes(32), "no JSON", 100, 1),
    )
    async with told.site.teacher() as browser:
        await load(told.site)
        _, text = await browser.get("/staff/packs")
        assert "Sums &lt;1&gt;" in text
        assert "7.3\u00a0MB" in text
        assert "9.9\u00a0MB" not in text
        assert text.count("can be had from the hub") == 1
        here = told.site.box.library.shelf.current[PACK].version
        await told.tell(Offer(PACK, here + 1, bytes(32), "{}", 5_000_000, 2, here, 80_000))
        _, text = await browser.get("/staff/packs")
        assert "update can be had from the hub" in text
        assert "80\u00a0kB" in text
        await told.tell(Revocation(Subject.PACK, "org.example.sums@3", 3))
        _, text = await browser.get("/staff/packs")
        assert "9.9\u00a0MB" in text


async def test_a_pack_that_the_hub_took_back_is_shown_as_withdrawn_and_not_loaded(told: Told) -> None:
    await load(told.site)
    async with told.site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert "withdrawn by those" not in text
        version = told.site.box.library.shelf.current[PACK].version
        await told.tell(Revocation(Subject.PACK, f"{PACK}@{version}", 1), Revocation(Subject.COURIER, "ab" * 16, 1))
        _, text = await browser.get("/staff/packs")
        assert "withdrawn by those who published it: look for a newer version" in text
        response, _ = await browser.submit(f"/staff/packs/{PACK}/remove")
        assert response.status == 303
        (stick,) = await told.site.box.loading.sticks.look()
        assert [getattr(offer.error, "code", "") for offer in stick.offers] == ["pack.withdrawn"]
