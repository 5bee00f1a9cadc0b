"""A box is enrolled by a file on a stick: the hub is met without a line, each ticket is good for one box and a week."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.signing import SealingKey, SigningKey
from edgebox.app import open_box
from edgebox.cli import main
from edgebox.services.sync_state import SyncStatus
from edgebox.store import changes
from sync import introduction
from sync.enrolment import EnrolmentExpired, EnrolmentRefused
from sync.hub.enrolling import CODE_LIFE_MS
from sync.hub.operations import OPERATIONS
from sync.hub.sticks import exchange_stick
from sync.introduction import IntroductionKind, Ticket
from sync.transport import tickets
from tests.support.box import make_school, make_tablet
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS
from tests.sync.test_syncing import DeadLink, Scene, box_and_hub


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with box_and_hub(tmp_path) as made:
        await made.work(3)
        yield made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


async def put_ticket(scene: Scene, stick: Path, **more: Any) -> dict[str, Any]:
    arguments = {"school": "Hill School", "address": scene.hub.url, "folder": str(stick)} | more
    return await OPERATIONS["ticket"](scene.hub.listening.hub, arguments)


async def found_on(scene: Scene, stick: Path) -> Ticket:
    [ticket] = (await scene.box.syncing.introducing.list_tickets(stick)).values()
    return ticket


async def accept(scene: Scene, stick: Path) -> SyncStatus:
    """Connect the box by the ticket on a stick, and fill the stick."""
    await scene.box.syncing.accept(await found_on(scene, stick))
    await scene.box.exchanging.export(stick)
    return await scene.box.syncing.status()


async def carry(scene: Scene, stick: Path) -> dict[str, Any]:
    """Bring the stick to the hub and back; return what the hub said."""
    said = await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await scene.box.exchanging.import_(stick)
    return said


async def test_one_journey_of_a_stick_enrols_the_box_and_brings_its_records(scene: Scene, stick: Path) -> None:
    made = await put_ticket(scene, stick)
    ticket = await found_on(scene, stick)
    assert (introduction.fingerprint(ticket.hub), ticket.school, ticket.url) == (
        made["fingerprint"],
        "Hill School",
        scene.hub.url,
    )
    assert (await scene.box.syncing.status()).hub_url is None, "a found stick does nothing by itself"
    await accept(scene, stick)
    said = await carry(scene, stick)
    assert (said["met"], said["taken"], said["refused"]) == (1, 1, {})
    status = await scene.box.syncing.status()
    assert (status.waiting_changes, status.last_error, status.hub_url) == (0, None, scene.hub.url)
    assert await scene.hub_statements() == 3
    assert await scene.hub.rows("SELECT title FROM school") == [("Hill School",)]
    known = await scene.box.database.read(changes.find_hub)
    assert known is not None
    assert known[1].box_no == 1
    assert await scene.box.syncing.introducing.pending() == []


async def test_a_ticket_works_by_line_as_well(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    await scene.box.syncing.accept(await found_on(scene, stick))
    status = await scene.box.syncing.sync_now()
    assert (status.waiting_changes, status.last_error) == (0, None)
    assert await scene.hub_statements() == 3


async def test_a_box_without_anything_to_send_makes_itself_known(tmp_path: Path, stick: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.box.database.write(lambda db: db.execute("DELETE FROM change") and None)
        await put_ticket(scene, stick)
        await scene.box.syncing.accept(await found_on(scene, stick))
        assert (await scene.box.syncing.sync_now()).last_error is None
        assert await scene.hub.rows("SELECT no FROM box") == [(1,)]


async def test_a_ticket_saved_at_the_top_of_a_stick_is_found(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    [path] = (stick / "edgebox" / "enrol").iterdir()
    path.rename(stick / "HILL.EBI")
    assert (await found_on(scene, stick)).school == "Hill School"


async def test_stick_and_line_in_any_order_and_twice_enrol_one_box(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    await accept(scene, stick)
    for _ in range(2):
        assert (await scene.box.syncing.sync_now()).last_error is None
        assert (await carry(scene, stick))["refused"] == {}
    assert await scene.hub.rows("SELECT no FROM box") == [(1,)]
    assert await scene.hub_statements() == 3


async def test_the_request_waits_through_a_restart_until_the_hub_has_answered(tmp_path: Path, stick: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.work()
        await put_ticket(scene, stick)
        scene.box.syncing._uploading.make_link = lambda url: DeadLink()  # type: ignore[assignment,return-value]
        await scene.box.syncing.accept(await found_on(scene, stick))
        status = await scene.box.syncing.sync_now()
        assert status.last_error is not None
        data, hub = scene.school.settings, scene.hub.listening.hub
        await scene.box.syncing.close()
        pending = await scene.box.syncing.introducing.pending()
        assert [told.kind for told in pending] == [IntroductionKind.REQUEST]
    async with hub_on(tmp_path / "hub", scene.clock) as again, open_box(data, scene.clock) as box:
        assert again.listening.hub.keys.signing.verify_key == hub.keys.signing.verify_key
        assert await box.syncing.introducing.pending() == pending
        await box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (again.url,)) and None)
        assert (await box.syncing.sync_now()).last_error is None
        assert len(await again.rows("SELECT id FROM statement")) == 1


async def other_box(scene: Scene, tmp_path: Path, stick: Path) -> tuple[dict[str, Any], str]:
    """Let a second box use the ticket on the stick; return what the hub said, and how the box ended."""
    school = await asyncio.to_thread(make_school, tmp_path / "second")
    async with open_box(school.settings, scene.clock) as box:
        second = Scene(box, school, scene.hub, make_tablet(2), scene.clock)
        await second.work()
        await accept(second, stick)
        said = await carry(second, stick)
        status = await box.syncing.status()
        return said, "" if status.last_error is None else status.last_error["fields"]["hub_code"]


async def test_a_ticket_is_good_for_one_box(scene: Scene, stick: Path, tmp_path: Path) -> None:
    await put_ticket(scene, stick)
    await accept(scene, stick)
    await carry(scene, stick)
    said, code = await other_box(scene, tmp_path, stick)
    assert code == "hub.enrolment_code_used"
    assert sorted(said["refused"].values()) == ["hub.enrolment_code_used", "sync.bundle_unknown_origin"]
    assert await scene.hub.rows("SELECT no FROM box") == [(1,)]


async def test_an_old_ticket_is_refused_by_the_box_and_by_the_hub(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    ticket = await found_on(scene, stick)
    scene.clock.advance(CODE_LIFE_MS)
    with pytest.raises(EnrolmentExpired):
        await scene.box.syncing.accept(ticket)
    assert (await scene.box.syncing.status()).hub_url is None
    # A box whose clock is behind asks all the same.
    scene.clock.advance(-CODE_LIFE_MS)
    await accept(scene, stick)
    scene.clock.advance(CODE_LIFE_MS)
    said = await carry(scene, stick)
    assert EnrolmentExpired.code in said["refused"].values()
    status = await scene.box.syncing.status()
    assert status.last_error is not None
    assert status.last_error["fields"]["hub_code"] == EnrolmentExpired.code
    assert await scene.box.syncing.introducing.pending() == []
    assert await scene.hub.rows("SELECT no FROM box") == []
    assert status.waiting_changes > 0


async def test_a_ticket_that_the_hub_never_made_enrols_nobody(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    ticket = await found_on(scene, stick)
    # The secret is another; only who has the hub's key can have signed that, but the hub knows its secrets.
    await scene.box.syncing.accept(replace(ticket, secret=bytes(10)))
    await scene.box.exchanging.export(stick)
    assert "hub.enrolment_code_invalid" in (await carry(scene, stick))["refused"].values()
    assert await scene.hub.rows("SELECT no FROM box") == []


async def test_an_impostors_ticket_leads_to_no_other_hub(scene: Scene, stick: Path) -> None:
    impostor, sealing = SigningKey.generate(), SealingKey.generate()
    ticket = Ticket(impostor.verify_key, sealing.public, scene.hub.url, "Hill School", bytes(10), NOW_MS, NOW_MS + 1000)
    await asyncio.to_thread(tickets.write_ticket, stick, "0", introduction.write_ticket(ticket, impostor))
    # Somebody who did not compare the fingerprint connects; the true hub cannot read what is sealed to another.
    await scene.box.syncing.accept(await found_on(scene, stick))
    status = await scene.box.syncing.sync_now()
    assert status.last_error is not None
    assert await scene.hub.rows("SELECT no FROM box") == []


@pytest.mark.parametrize("content", [b"", b"EBI", b"EBI\x01\xff\xff" + b"x" * 100, b"x" * 20_000])
async def test_what_is_no_ticket_is_not_shown(scene: Scene, stick: Path, content: bytes) -> None:
    (stick / "a.ebi").write_bytes(content)
    (stick / "b.ebi").symlink_to("/etc/passwd")
    (stick / "c.ebi").mkdir()
    assert await scene.box.syncing.introducing.list_tickets(stick) == {}


async def test_of_a_thousand_tickets_few_are_read(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    [path] = (stick / "edgebox" / "enrol").iterdir()
    for number in range(1000):
        (stick / f"{number}.ebi").write_bytes(path.read_bytes())
    assert len(await asyncio.to_thread(tickets.list_tickets, stick)) == tickets.TICKETS_MAX


async def test_an_answer_to_something_else_is_none(scene: Scene, stick: Path) -> None:
    """The hub's refusal of an earlier ticket, left on the stick, does not undo a later one."""
    await put_ticket(scene, stick)
    ticket = await found_on(scene, stick)
    await scene.box.syncing.accept(replace(ticket, secret=bytes(10)))
    await scene.box.exchanging.export(stick)
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await accept(scene, stick)
    assert await scene.box.exchanging.import_(stick) == 0
    assert len(await scene.box.syncing.introducing.pending()) == 1
    await carry(scene, stick)
    assert await scene.hub_statements() == 3


async def test_a_ticket_of_another_hub_gets_everything_from_the_start(tmp_path: Path, stick: Path) -> None:
    async with box_and_hub(tmp_path) as scene, hub_on(tmp_path / "other", scene.clock) as other:
        await scene.enroll()
        await scene.work(2)
        await scene.box.syncing.sync_now()
        await put_ticket(replace(scene, hub=other), stick)
        await scene.box.syncing.accept(await found_on(scene, stick))
        assert (await scene.box.syncing.sync_now()).last_error is None
        assert len(await other.rows("SELECT id FROM statement")) == 2


async def test_a_request_on_a_stick_shows_a_finder_no_secret(scene: Scene, stick: Path) -> None:
    await put_ticket(scene, stick)
    ticket = await found_on(scene, stick)
    await accept(scene, stick)
    outbox = b"".join(path.read_bytes() for path in (stick / "edgebox" / "outbox").rglob("*") if path.is_file())
    assert ticket.secret not in outbox
    with pytest.raises(EnrolmentRefused):
        introduction.read_request(
            (stick / "edgebox" / "outbox" / scene.box.identity.box_id.hex() / "request.ebi").read_bytes(),
            SealingKey.generate(),
        )


def test_a_technician_looks_at_the_tickets_and_connects_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick, data = tmp_path / "stick", make_school(tmp_path / "box").settings.data
    stick.mkdir()
    hub = ["--data", str(tmp_path / "hub"), "--json"]
    address = ["--stick", str(stick), "--address", "https://hub.example"]
    assert main(["hub", "enroll", "--school", "Hill School", *address, *hub]) == 0
    shown = json.loads(capsys.readouterr().out)["fingerprint"]
    ticket = ["sync", "ticket", str(stick), "--data", str(data), "--json"]
    assert main(ticket) == 0
    assert json.loads(capsys.readouterr().out) == {
        "tickets": [{"hub": "https://hub.example", "school": "Hill School", "fingerprint": shown}],
        "hub": None,
    }
    assert main([*ticket, "--accept", "AAAA-AAAA-AAAA-AAAA"]) == EnrolmentRefused.exit_code
    assert main([*ticket, "--accept", shown.lower()]) == 0
    capsys.readouterr()
    assert main(["sync", "status", "--data", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hub_url"] == "https://hub.example"
    assert main(["sync", "export", str(stick), "--data", str(data), "--json"]) == 0
    assert main(["hub", "import", str(stick), *hub]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["met"] == 1
    assert main(["hub", "boxes", "--data", str(tmp_path / "hub")]) == 0
    assert "Hill School" in capsys.readouterr().out
