"""What is wrong with a box's ack or a hub's bundle is refused with a code; nothing changes, and the good one works."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import SigningKey
from sync.bundle.layout import AckHead, Notice, Vector
from sync.bundle.write import write_ack
from sync.engine.stream import EPOCH_MAX
from sync.hub.sticks_down import fill_stick
from sync.transport import folder
from sync.transport.tus import ACK_TYPE
from tests.sync.makers import NOW_MS
from tests.sync.school_scene import WHOLE, SchoolScene, message, school_scene

TYPE = {"Content-Type": ACK_TYPE}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    async with school_scene(tmp_path) as made:
        yield made


async def post(scene: SchoolScene, ack: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(scene.hub.url + "/api/acks", data=ack, headers=TYPE | headers) as response,
    ):
        return response.status, await response.json()


def word(scene: SchoolScene, epoch: int, through: int, at_ms: int, notice: Notice = Notice.NONE) -> bytes:
    hub = scene.hub.listening.hub.keys.signing.verify_key.key_id
    key = scene.box.identity.signing
    return write_ack(AckHead(key.verify_key.key_id, Vector(hub, epoch, through, through), at_ms, notice), key)


async def streams(scene: SchoolScene) -> list[tuple[object, ...]]:
    found = await scene.hub.rows("SELECT * FROM stream")
    return found + await scene.hub.rows("SELECT seq, hash, settled_ms FROM stream_bundle ORDER BY seq")


async def test_no_changed_byte_of_an_ack_passes(scene: SchoolScene) -> None:
    await scene.send()
    await scene.prepared()
    good = await scene.box.receiving.make_ack()
    assert good is not None
    before = await streams(scene)
    sending = scene.hub.listening.hub.sending
    for place in range(len(good)):
        for changed in (good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :], good[:place]):
            with pytest.raises(EdgeboxError):
                await sending.find_box(changed)
    assert await streams(scene) == before
    assert (await post(scene, good))[0] == 200


async def test_what_is_no_ack_of_a_box_here_is_refused_by_name(scene: SchoolScene) -> None:
    hub = scene.hub.listening.hub.keys.signing
    vector = Vector(hub.verify_key.key_id, 1, 1, 1)
    stranger = SigningKey.generate()
    of_a_stranger = write_ack(AckHead(stranger.verify_key.key_id, vector, NOW_MS, 0), stranger)
    of_the_hub = write_ack(AckHead(hub.verify_key.key_id, vector, NOW_MS, 0), hub)
    mine = scene.box.identity.signing
    about_others = write_ack(AckHead(mine.verify_key.key_id, Vector(bytes(16), 1, 1, 1), NOW_MS, 0), mine)
    for ack in (of_a_stranger, of_the_hub, about_others):
        status, answer = await post(scene, ack)
        assert (status, answer["code"]) == (403, "sync.bundle_unknown_origin")
    assert (await post(scene, b"x" * 10_000))[0] == 413
    assert (await post(scene, b"{}", **{"Content-Type": "application/json"}))[0] == 400
    assert await streams(scene) == []


async def test_an_old_ack_played_again_takes_nothing_back(scene: SchoolScene) -> None:
    await scene.send(message("one"))
    old = await scene.box.receiving.make_ack()
    assert old is not None
    await scene.sync()
    scene.clock.advance(8 * 86_400_000)
    await scene.sync()
    before = await streams(scene)
    assert await post(scene, old) == (200, {"waiting": []})
    assert await streams(scene) == before


@pytest.mark.parametrize("epoch", [EPOCH_MAX + 1, (1 << 53) - 1])
async def test_an_epoch_without_a_follower_does_not_break_the_stream(scene: SchoolScene, epoch: int) -> None:
    await post(scene, word(scene, epoch, 5, NOW_MS))
    await scene.send()
    assert await scene.sync() is None
    assert await scene.told() == WHOLE


@pytest.mark.parametrize("notice", [Notice.FORKED, Notice.SET_ASIDE, Notice.WAITING])
async def test_a_box_that_tells_nonsense_harms_only_itself_and_heals(scene: SchoolScene, notice: Notice) -> None:
    await scene.send()
    await scene.prepared()
    await post(scene, word(scene, 1, 900, NOW_MS + (1 << 40), notice))
    for _ in range(2):
        assert await scene.sync() is None
    assert await scene.told() == WHOLE
    assert await scene.waiting() == 0


async def test_no_changed_byte_of_a_bundle_passes(scene: SchoolScene) -> None:
    await scene.send(message("one"))
    (content,) = await scene.prepared()
    for place in range(len(content)):
        for changed in (content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], content[:place]):
            with pytest.raises(EdgeboxError):
                await scene.box.receiving.receive(changed)
    assert await scene.rows("SELECT * FROM inbox_bundle") == []
    await scene.box.receiving.receive(content)
    assert await scene.messages() == ["one"]


async def test_a_stick_full_of_words_of_others_gives_them_nothing(scene: SchoolScene) -> None:
    await scene.send()
    stick, box = scene.folder / "stick", scene.box.identity.box_id
    words = {box: b"EBB\x01\x00\x05nonsense" + bytes(100), bytes(16): word(scene, 1, 1, NOW_MS)}

    def fill() -> None:
        stick.mkdir()
        for origin, ack in words.items():
            folder.write_word(stick, origin, 1, ack)

    await asyncio.to_thread(fill)
    assert await fill_stick(scene.hub.listening.hub.sending, stick) == 1
    assert await streams(scene) != []
    await scene.box.exchanging.import_(stick)
    assert await scene.told() == WHOLE
