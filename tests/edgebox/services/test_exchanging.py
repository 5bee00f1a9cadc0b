"""One button: what a stick brings is taken, what the hub lacks goes onto it, and pulling it out loses nothing."""

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from content_packs.format.errors import StickGone
from content_packs.usb.errors import StickBusy, StickReadOnly
from content_packs.usb.writing import BESIDE
from edgebox.services.exchanging import ACKS_MAX, Exchange, ExchangeState
from sync.hub.sticks import REFUSED_MAX, exchange_stick
from sync.transport import folder
from sync.transport.stick_writing import StickWriter
from tests.support.stick import PullableStick
from tests.sync.test_syncing import Scene, box_and_hub

PHRASES = (b"Learner 0", b"Learner 1", b"Class 4", b"Teacher", b"teacher", b"canary-answer")


@dataclass
class Desk:
    """A box with a place for sticks, and its hub."""

    scene: Scene
    media: Path

    @property
    def stick(self) -> Path:
        return self.media / "STICK"

    async def plug_in(self, name: str = "STICK") -> Path:
        """Put a stick in that was used before, or an empty one."""

        def make() -> Path:
            kept, stick = self.media.parent / f"kept-{name}", self.media / name
            if kept.exists():
                kept.rename(stick)
            (stick / "edgebox").mkdir(parents=True, exist_ok=True)
            return stick

        return await asyncio.to_thread(make)

    async def pull(self, name: str = "STICK") -> None:
        await asyncio.to_thread((self.media / name).rename, self.media.parent / f"kept-{name}")

    async def exchange(self, stick: Path) -> Exchange:
        """Press the button and wait."""
        await self.scene.box.exchanging.start(stick)
        return await self.end()

    async def end(self) -> Exchange:
        return [seen async for seen in self.scene.box.exchanging.watch()][-1]

    async def to_hub(self, stick: Path) -> dict[str, object]:
        return await exchange_stick(self.scene.hub.listening.hub.receiving, stick)

    async def waiting(self) -> int:
        return (await self.scene.box.syncing.status()).waiting_changes


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    media = tmp_path / "media"
    media.mkdir()
    async with box_and_hub(tmp_path) as scene:
        sticks = scene.box.loading.sticks
        monkeypatch.setattr(sticks, "_settings", replace(scene.box.settings, stick_folders=(media,)))
        await scene.enroll()
        await scene.work()
        yield Desk(scene, media)


async def test_a_round_trip_settles_everything_and_leaves_the_stick_empty(desk: Desk) -> None:
    stick = await desk.plug_in()
    gone = await desk.exchange(stick)
    assert (gone.state, gone.acks, gone.bundles) == (ExchangeState.DONE, 0, 1)
    assert gone.done_bytes == gone.total_bytes == 2 * gone.bundles_bytes
    await desk.to_hub(stick)
    back = await desk.exchange(stick)
    assert (back.state, back.acks, back.bundles) == (ExchangeState.DONE, 1, 0)
    assert await desk.waiting() == 0
    assert await asyncio.to_thread(folder.list_bundles, stick) == []
    assert await asyncio.to_thread(folder.list_origins, stick) == [desk.scene.box.identity.box_id]


async def test_a_folder_that_is_no_stick_is_left_as_it_is(desk: Desk) -> None:
    left = desk.media.parent / "left"
    await asyncio.to_thread(left.mkdir)
    assert (await desk.exchange(left)).state is ExchangeState.STICK_GONE
    assert not await asyncio.to_thread(lambda: list(left.iterdir()))


async def test_half_files_that_an_interrupted_exchange_left_are_taken_away(desk: Desk) -> None:
    stick = await desk.plug_in()
    ours = stick / folder.OUTBOX / desk.scene.box.identity.box_id.hex()
    await asyncio.to_thread(ours.mkdir, parents=True)
    for name in (f"1-7.eb{BESIDE}", f"holiday.jpg{BESIDE}"):
        await asyncio.to_thread((ours / name).write_bytes, b"half")
    await desk.exchange(stick)
    assert sorted(path.name for path in ours.iterdir() if path.name.endswith(BESIDE)) == [f"holiday.jpg{BESIDE}"]


async def test_a_stick_pulled_at_any_moment_has_whole_files_or_none_and_goes_on_when_it_is_back(desk: Desk) -> None:
    stick = await desk.plug_in()
    await desk.exchange(stick)
    await desk.to_hub(stick)
    await desk.scene.work(2)
    ours, pull_at, is_whole = await asyncio.to_thread(_hashes, stick), 0, False
    while not is_whole:
        pull_at += 1
        with pytest.MonkeyPatch.context() as patch:
            PullableStick(stick, patch, pull_at, errno.EIO, writes=True)
            last = await desk.exchange(stick)
            is_whole = last.state is ExchangeState.DONE
            assert is_whole or last.state is ExchangeState.STICK_GONE, last
        for path in await asyncio.to_thread(folder.list_bundles, stick):
            assert path in ours or (await asyncio.to_thread(path.read_bytes))[:3] == b"EBB"
    assert pull_at > 5
    assert [path.name for path in await asyncio.to_thread(folder.list_bundles, stick)] == ["1-2.eb"]
    assert not list(stick.rglob("*.part"))


def _hashes(stick: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.list_bundles(stick)}


async def test_a_stick_that_was_pulled_goes_on_by_itself_when_it_is_back_but_no_other_does(desk: Desk) -> None:
    stick = await desk.plug_in()
    await desk.scene.box.exchanging.stick_ids.give(stick)
    with pytest.MonkeyPatch.context() as patch:
        PullableStick(stick, patch, 4, errno.EIO, writes=True)
        assert (await desk.exchange(stick)).state is ExchangeState.STICK_GONE
    await desk.pull()
    await desk.scene.box.exchanging.look()
    other = await desk.plug_in("OTHER")
    await desk.scene.box.exchanging.look()
    assert (await desk.end()).state is ExchangeState.STICK_GONE
    assert not await asyncio.to_thread(folder.list_bundles, other)
    await desk.plug_in()
    await desk.scene.box.exchanging.look()
    assert (await desk.end()).state is ExchangeState.DONE
    assert len(await asyncio.to_thread(folder.list_bundles, stick)) == 1


async def test_a_found_stick_does_nothing_by_itself_and_a_known_one_once_each_time_it_is_put_in(desk: Desk) -> None:
    exchanging = desk.scene.box.exchanging
    stick = await desk.plug_in()
    await exchanging.look()
    assert exchanging.current is None
    assert [path.name for path in stick.rglob("*")] == ["edgebox"]
    await exchanging.stick_ids.remember(stick)
    await exchanging.look()
    assert exchanging.current is None
    await desk.pull()
    await exchanging.look()
    await desk.plug_in()
    await exchanging.look()
    first = await desk.end()
    assert first.state is ExchangeState.DONE
    await exchanging.look()
    assert exchanging.current is first
    await exchanging.stick_ids.forget(stick)
    await desk.pull()
    await exchanging.look()
    await desk.plug_in()
    await exchanging.look()
    assert exchanging.current is first


async def test_a_copied_id_file_or_a_link_for_one_is_no_way_in(desk: Desk, tmp_path: Path) -> None:
    ids = desk.scene.box.exchanging.stick_ids
    stick = await desk.plug_in()
    for junk in (b"", b"\xff" * 40, b"00" * 15, b"zz" * 16, bytes(1 << 20)):
        (stick / "edgebox" / "stick.id").write_bytes(junk)
        assert await ids.find(stick) is None
    (stick / "edgebox" / "stick.id").unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(b"00" * 16)
    (stick / "edgebox" / "stick.id").symlink_to(secret)
    assert await ids.find(stick) is None
    assert await ids.give(stick) is None


async def test_one_exchange_at_a_time(desk: Desk) -> None:
    stick = await desk.plug_in()
    await desk.scene.box.exchanging.start(stick)
    with pytest.raises(StickBusy):
        await desk.scene.box.exchanging.start(stick)
    assert (await desk.end()).state is ExchangeState.DONE


async def test_of_two_sticks_put_in_together_the_second_has_its_turn_after_the_first(desk: Desk) -> None:
    exchanging = desk.scene.box.exchanging
    sticks = [await desk.plug_in(name) for name in ("ONE", "TWO")]
    for stick in sticks:
        await exchanging.stick_ids.remember(stick)
    served = []
    for _ in sticks:
        await exchanging.look()
        last = await desk.end()
        assert last.state is ExchangeState.DONE
        served.append(last.stick)
    assert sorted(served) == sorted(sticks)


async def test_a_write_protected_stick_brings_what_it_has_and_says_why_nothing_went_onto_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = await desk.plug_in()
    await desk.exchange(stick)
    await desk.to_hub(stick)
    await desk.scene.work()

    def refuse(*_arguments: object) -> None:
        raise StickReadOnly(stick="STICK")

    for name in ("put", "remove", "make_folder"):
        monkeypatch.setattr(StickWriter, name, refuse)
    last = await desk.exchange(stick)
    assert (last.state, last.acks) == (ExchangeState.FAILED, 1)
    assert last.error is not None
    assert last.error["code"] == StickReadOnly.code
    assert (await desk.scene.device())[1] == 1


async def test_what_is_left_of_a_stick_gets_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stick = await desk.plug_in()

    async def lose(_stick: Path) -> int:
        await desk.pull()
        await asyncio.to_thread(stick.mkdir)
        return 0

    monkeypatch.setattr(desk.scene.box.exchanging, "import_", lose)
    last = await desk.exchange(stick)
    assert (last.state, last.error and last.error["code"]) == (ExchangeState.STICK_GONE, StickGone.code)
    assert not list(stick.iterdir())


async def test_a_spool_that_lost_a_file_starts_over_and_everything_goes_onto_the_stick(desk: Desk) -> None:
    stick = await desk.plug_in()
    await desk.scene.box.syncing.prepare()
    (spooled,) = (desk.scene.box.settings.spool / "out").iterdir()
    spooled.unlink()
    assert (await desk.exchange(stick)).state is ExchangeState.DONE
    await desk.to_hub(stick)
    assert await desk.scene.hub_statements() == 1


async def test_hostile_files_for_the_box_cost_little_and_change_nothing(desk: Desk) -> None:
    stick, box = await desk.plug_in(), desk.scene.box
    await desk.exchange(stick)
    before, log = await desk.waiting(), await asyncio.to_thread(folder.list_bundles, stick)

    def litter() -> None:
        ours = stick / folder.INBOX / box.identity.box_id.hex()
        ours.mkdir(parents=True)
        for epoch in range(folder.FILES_MAX):
            (ours / f"{epoch}.eba").write_bytes(b"EBB\x01junk")
        for seq in range(1, 2000):
            (ours / f"1-{seq}.eb").write_bytes(b"EBB\x01junk")
        for name in ("1.eba", "1-7.eb"):
            with (ours / name).open("wb") as file:
                file.truncate(1 << 40)

    await asyncio.to_thread(litter)
    last = await desk.exchange(stick)
    assert (last.state, last.acks, last.bundles) == (ExchangeState.DONE, 0, 1)
    assert await desk.waiting() == before
    assert await asyncio.to_thread(folder.list_bundles, stick) == log
    await desk.to_hub(stick)
    assert (await desk.exchange(stick)).acks == 1
    assert await desk.waiting() == 0
    assert ACKS_MAX < folder.FILES_MAX


async def test_hostile_files_for_the_hub_cost_short_reads_and_keep_no_good_one_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick, hub = await desk.plug_in(), desk.scene.hub
    await desk.exchange(stick)
    (good,) = await asyncio.to_thread(folder.list_bundles, stick)
    content = await asyncio.to_thread(good.read_bytes)
    stranger = stick / folder.OUTBOX / ("0" * 32)

    def litter() -> None:
        stranger.mkdir()
        for seq in range(1, 3000):
            (stranger / f"1-{seq}.eb").write_bytes(content[:200] + bytes(200))
        for seq, junk in ((7, content), (8, content[:-1]), (9, content + b"x"), (10, b"")):
            (good.parent / f"1-{seq}.eb").write_bytes(junk)
        with (good.parent / "1-11.eb").open("wb") as file:
            file.write(content)
            file.truncate(1 << 40)

    await asyncio.to_thread(litter)
    read: list[Path] = []
    real = folder.read_bundle
    monkeypatch.setattr(folder, "read_bundle", lambda path: read.append(path) or real(path))
    result = await desk.to_hub(stick)
    assert read == [good]
    assert result["taken"] == 1
    assert len(result["refused"]) == REFUSED_MAX + 5  # type: ignore[arg-type]
    assert await desk.scene.hub_statements() == 1
    assert len(await hub.rows("SELECT * FROM bundle")) == 1


async def test_a_lost_stick_shows_no_name_answer_login_or_pseudonym(desk: Desk) -> None:
    scene = desk.scene
    event = scene.tablet.event(
        scene.school.learners[1], item="q1", result={"success": True, "response": "canary-answer"}
    )
    await scene.box.recording.store_outbox(scene.tablet.request(event))
    stick = await desk.plug_in()
    await desk.exchange(stick)
    await desk.to_hub(stick)
    await desk.scene.work()
    await desk.exchange(stick)
    raw = b"".join([str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in stick.rglob("*")])
    secrets = list(PHRASES)
    for person in (*scene.school.learners, scene.school.teacher):
        secrets += [person.pseudonym, person.pseudonym.hex().encode(), person.token.encode()]
    assert len(raw) > 500
    assert not [secret for secret in secrets if secret in raw]
