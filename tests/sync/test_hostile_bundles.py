"""What is damaged, forged, repeated or made to burst changes nothing at a real hub and a real box."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
import zstandard

from content_packs.base import codec
from content_packs.base.compress import compress
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import PairKey, SigningKey, seal
from sync.bundle import codec0, codec1, layout, varint
from sync.bundle.errors import BundleForged, BundleMalformed, BundleTooLarge, BundleUnknownOrigin, BundleUnsupported
from sync.bundle.layout import BundleKind
from sync.bundle.limits import RECORDS_MAX
from sync.bundle.paired import write_paired
from sync.bundle.read import open_bundle, read_ack, verify_bundle, verify_head
from sync.bundle.write import Range, sealing_key_id, write_bundle
from sync.engine.receiver import Verdict
from sync.records.kinds import Kind, kind_of
from sync.records.rows import Record
from tests.support.clock import FakeClock
from tests.support.damage import sampled
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS, Maker, answered, completed, crowd, merging, registries
from tests.sync.school_scene import WHOLE, school_scene

SAMPLED = 150
PEAK_MAX_BYTES = 48 << 20
MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def everything_in(folder: Path) -> dict[str, object]:
    """Return all that is kept in a folder: every row of every database, and the bytes of every other file."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".db":
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                found[str(path)] = list(connection.iterdump())
            connection.close()
        elif path.is_file() and not path.name.endswith((".db-wal", ".db-shm", ".log", ".sock")):
            found[str(path)] = path.read_bytes()
    return found


async def assert_refused(hub: TestHub, content: bytes) -> EdgeboxError:
    """Let the hub refuse a bundle with an error that has a code."""
    with pytest.raises(EdgeboxError) as refusal:
        await hub.listening.hub.receiving.receive(content)
    return refusal.value


async def test_no_damaged_bundle_changes_anything_at_a_hub(folder: Path) -> None:
    async with hub_on(folder / "hub", FakeClock(NOW_MS)) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        pair = PairKey(maker.key.sealing_key, hub.listening.hub.keys.sealing.public)
        span = Range(1, 2, 100, 101, maker.previous)
        records: list[Record] = [answered(1), completed(2)]
        short = write_paired(records, span, pair=pair, box_no=1, created_ms=NOW_MS)
        ahead = write_paired(records, span, pair=pair, box_no=1, created_ms=NOW_MS, kind=BundleKind.EXPRESS)
        usual = [replace(maker, codec_no=number).next(records) for number in (0, 1)]
        express = maker.express([record for record in registries()[:7] if kind_is_let_ahead(record)] + records)
        before, dice = everything_in(folder), random.Random(1)
        for content in (*usual, express, short, ahead):
            for variant in sampled(content, SAMPLED, dice):
                await assert_refused(hub, variant)
        assert everything_in(folder) == before
        for content in (express, usual[1]):
            assert (await hub.post(content)).notice == 0


def kind_is_let_ahead(record: Record) -> bool:
    return {kind_of(record)} <= layout.EXPRESS_KINDS


async def test_nothing_damaged_of_the_hubs_changes_anything_at_a_box(folder: Path) -> None:
    async with school_scene(folder) as scene:
        await scene.send()
        prepared = await scene.prepared()
        acknowledged = await scene.hub.listening.hub.receiving.acknowledge(scene.box.identity.box_id, 1)
        await scene.box.syncing.prepare()
        waiting = [made for made in await scene.box.syncing.list_waiting() if made.seq == 1]
        content = await scene.box.syncing.read_waiting(waiting[0])
        assert content is not None
        acknowledged = await scene.hub.listening.hub.receiving.receive(content)
        before, dice = everything_in(folder / "box"), random.Random(2)
        for variant in (*sampled(prepared[0], 4 * SAMPLED, dice), *sampled(content, SAMPLED, dice)):
            with pytest.raises(EdgeboxError):
                await scene.box.receiving.receive(variant)
        for variant in (*sampled(acknowledged.ack, 4 * SAMPLED, dice), content, prepared[0]):
            with pytest.raises(EdgeboxError):
                await scene.box.syncing.take_carried(variant)
        assert everything_in(folder / "box") == before
        await scene.box.receiving.receive(prepared[0])
        await scene.box.syncing.take_carried(acknowledged.ack)
        assert everything_in(folder / "box") != before


async def test_a_bundle_that_is_played_again_changes_nothing(folder: Path) -> None:
    async with hub_on(folder / "hub", FakeClock(NOW_MS)) as hub:
        maker = await hub.enrolled()
        contents = [maker.next(registries()), maker.next([answered(1)]), maker.next([completed(2)])]
        for content in contents:
            await hub.post(content)
        before = await hub.contents()
        for content in random.Random(3).choices(contents, k=12):
            assert (await hub.post(content)).vector.through_seq == 3
        assert await hub.contents() == before


async def test_what_is_pasted_together_of_bundles_of_others_is_refused(folder: Path) -> None:
    async with hub_on(folder / "hub", FakeClock(NOW_MS)) as hub:
        one, two = await hub.enrolled(), await hub.enrolled()
        await hub.post(one.next(registries()))
        await hub.post(two.next(registries()))
        mine, more, theirs = one.next([answered(1)]), one.next([answered(2)]), two.next([answered(1)])
        before = everything_in(folder)
        pasted: dict[str, tuple[bytes, type[EdgeboxError]]] = {
            "head of one, body of another box": (start(mine) + body(theirs), BundleForged),
            "head of one, body of the next": (start(mine) + body(more), BundleForged),
            "head of one, signature of another": (head(mine) + signature(theirs) + body(mine), BundleForged),
            "another origin": (with_head(mine, 1, two.key.verify_key.key_id), BundleForged),
            "an origin that nobody knows": (with_head(mine, 1, bytes(16)), BundleUnknownOrigin),
            "another epoch": (with_head(mine, 2, 9), BundleForged),
            "another number": (with_head(mine, 3, 7), BundleForged),
            "another kind": (with_head(mine, 0, 3), BundleMalformed),
            "a kind that is to come": (with_head(mine, 0, 5), BundleUnsupported),
            "an ack in its place": (with_head(mine, 0, 2), BundleUnsupported),
            "sealed to somebody else": (
                write_bundle(
                    [answered(1)], Range(1, 2, 13, 13), key=one.key, receiver_public=Maker().receiver.public,
                    created_ms=NOW_MS,
                ),
                BundleForged,
            ),
        }  # fmt: skip
        for name, (content, refusal) in pasted.items():
            assert len(body(content)) < 500
            try:
                assert isinstance(await assert_refused(hub, content), refusal), name
            except AssertionError as error:
                raise AssertionError(name) from error
        quota = "box_day"
        after = everything_in(folder)
        assert without_table(after, quota) == without_table(before, quota)
        assert (await hub.post(mine)).vector.through_seq == 2


async def test_a_short_bundle_under_the_number_of_another_box_is_refused(folder: Path) -> None:
    async with hub_on(folder / "hub", FakeClock(NOW_MS)) as hub:
        one, _two = await hub.enrolled(), await hub.enrolled()
        pair = PairKey(one.key.sealing_key, hub.listening.hub.keys.sealing.public)
        before = everything_in(folder)
        for number, refusal in ((2, BundleForged), (3, BundleUnknownOrigin), (2**53, BundleMalformed)):
            content = write_paired(registries(), Range(1, 1, 1, 12), pair=pair, box_no=number, created_ms=NOW_MS)
            assert isinstance(await assert_refused(hub, content), refusal)
        assert everything_in(folder) == before


def start(content: bytes) -> bytes:
    return content[: layout.start_bytes(content)]


def head(content: bytes) -> bytes:
    return start(content)[:-64]


def signature(content: bytes) -> bytes:
    return start(content)[-64:]


def body(content: bytes) -> bytes:
    return content[layout.start_bytes(content) :]


def with_head(content: bytes, index: int, value: object) -> bytes:
    """Return a bundle with another value in its head, and the signature that it had."""
    values = codec.decode(head(content)[6:], max_bytes=4096)
    values[index] = value
    return layout.frame(codec.encode(values)) + signature(content) + body(content)


def without_table(found: dict[str, object], name: str) -> dict[str, object]:
    """Return what was found without the rows of a table: a bundle that is refused once it is open counts as traffic."""
    return {
        path: [line for line in kept if f'INTO "{name}"' not in line] if isinstance(kept, list) else kept
        for path, kept in found.items()
    }


def bomb(plain_bytes: int) -> bytes:
    """Return a small zstd frame of very many zeros that says how many."""
    return zstandard.ZstdCompressor(level=19, write_checksum=True, write_content_size=True).compress(bytes(plain_bytes))


def silent_bomb() -> bytes:
    """Return one that does not say how many."""
    made = zstandard.ZstdCompressor(level=19, write_checksum=True, write_content_size=False).compressobj()
    return made.compress(bytes(64 * MIB)) + made.flush()


def wide_window() -> bytes:
    """Return a frame that asks for 128 MiB to be read with."""
    wide = zstandard.ZstdCompressionParameters(window_log=27, compression_level=3, write_checksum=1)
    made = zstandard.ZstdCompressor(compression_params=wide).compressobj(size=64 * MIB)
    return made.compress(bytes(64 * MIB)) + made.flush()


def frames() -> Iterator[tuple[str, int, bytes]]:
    """Yield what zstd may be made to do: a name, the plain length that the head is to state, and the frame."""
    good = compress(codec.encode([]))
    yield "bursts and says so", 64 * MIB, bomb(64 * MIB)
    yield "bursts as far as it may", MIB, bomb(MIB)
    yield "bursts over what the head says", 100, bomb(64 * MIB)
    yield "bursts in silence", 64 * MIB, silent_bomb()
    yield "asks for a wide window", 64 * MIB, wide_window()
    yield "is cut", 100_000, compress(random.Random(4).randbytes(100_000))[:-20]
    yield "is followed by more", 1, good + b"more"
    yield "is two", 2, good + good
    yield "has no checksum", 1, zstandard.ZstdCompressor(write_checksum=False).compress(codec.encode([]))
    yield "is none", 10, b"not zstd at all"
    yield "is empty", 0, b""


def packs() -> Iterator[tuple[str, bytes]]:
    """Yield what msgpack may be made to do."""
    yield "an array of four thousand million", b"\xdd\xff\xff\xff\xff"
    yield "a map of four thousand million", b"\xdf\xff\xff\xff\xff"
    yield "bytes of four gigabytes", b"\xc6\xff\xff\xff\xff"
    yield "deep arrays", b"\x91" * 5_000 + b"\xc0"
    yield "deeper than is read", b"\x91" * 40 + b"\xc0"
    yield "a million empty arrays", b"\xdd" + (1_500_000).to_bytes(4, "big") + b"\x90" * 1_500_000
    yield "numbers for keys", msgpack.packb({1: 2})
    yield "a key twice", b"\x82\xa1a\x01\xa1a\x02"
    yield "text that is none", b"\x91\xa2\xff\xfe"
    yield "no number", msgpack.packb([float("nan")])
    yield "an extension", msgpack.packb([msgpack.ExtType(5, b"x")])
    yield "a time", b"\xd6\xff\x00\x00\x00\x00"
    yield "more behind", codec.encode([]) + b"\x00"
    yield "nothing", b""


def forged(
    maker: Maker,
    packed: bytes,
    plain_bytes: int,
    codec_no: int,
    receiver: bytes,
    *,
    kind: Kind = Kind.VERB,
    epoch: int = 1,
    count: int = 1,
) -> bytes:
    """Return a bundle that its maker really signed and sealed, with a body of any bytes."""
    sealed = seal(receiver, packed)
    made = layout.Head(
        maker.key.verify_key.key_id, epoch, 1, layout.NO_PREVIOUS, 1, 1, ((int(kind), count),), 0, NOW_MS, (), codec_no,
        sealing_key_id(receiver), plain_bytes, len(sealed), blake2b_256(sealed),
    )  # fmt: skip
    signed = layout.frame(codec.encode(layout.head_to_list(made)))
    return signed + maker.key.sign(layout.RECORDS_DOMAIN, signed) + sealed


def bodies() -> Iterator[tuple[str, int, int, bytes]]:
    """Yield hostile bodies of both codecs: a name, the codec, the plain length and the packed body."""
    for name, plain_bytes, frame in frames():
        yield f"codec 0, a frame that {name}", codec0.CODEC, plain_bytes, frame
        yield f"codec 1, a frame that {name}", codec1.CODEC, plain_bytes, b"\x02" + varint.pack(len(frame)) + frame
    for name, plain in packs():
        yield f"codec 0, {name}", codec0.CODEC, len(plain), compress(plain)
        rest = varint.pack(len(plain)) + plain
        packed = compress(rest)
        yield f"codec 1, {name}", codec1.CODEC, len(rest), b"\x02" + varint.pack(len(packed)) + packed
        yield f"codec 1, plain, {name}", codec1.CODEC, len(rest), b"\x00" + varint.pack(len(rest)) + rest
    yield "codec 1, a length without end", codec1.CODEC, 1, b"\x00" + b"\xff" * 20
    yield "codec 1, texts of a length that is not there", codec1.CODEC, 5, b"\x00\x05\x00aaaa" + b"\xff" * 200


def begin_peak() -> int:
    """Return what this process holds in memory, and forget what it held at the most."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return memory_bytes("VmRSS")


def memory_bytes(name: str) -> int:
    """Return a figure of the memory of this process; `VmHWM` is the most since `begin_peak`."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize("kind", [Kind.VERB, Kind.STATEMENT])
def test_no_body_bursts_whoever_signed_it(kind: Kind) -> None:
    maker = Maker()
    public = maker.receiver.public
    cases = [(name, forged(maker, packed, size, no, public, kind=kind)) for name, no, size, packed in bodies()]
    before_bytes = begin_peak()
    for name, content in cases:
        with pytest.raises(EdgeboxError) as refusal:
            open_bundle(verify_bundle(content, maker.trusted), maker.receiver)
        assert refusal.value.code.startswith("sync."), name
    assert memory_bytes("VmHWM") - before_bytes <= PEAK_MAX_BYTES


def crowds() -> Iterator[tuple[str, bytes]]:
    """Yield few bytes that are to be 25,000 statements, each with something wrong that shows at their end."""
    plain_bytes, packed = codec1.pack_records(crowd(RECORDS_MAX), around_ms=NOW_MS)
    assert (plain_bytes, len(packed) < 50) == (0, True)
    yield "followed by more", packed + bytes(20)
    yield "cut", packed[:-1]
    yield "one that is not there", codec1.pack_records(crowd(RECORDS_MAX - 1), around_ms=NOW_MS)[1]


async def test_very_many_records_in_few_bytes_are_bounded(folder: Path) -> None:
    async with hub_on(folder / "hub", FakeClock(NOW_MS)) as hub:
        maker = await hub.enrolled()
        cases = [
            (
                name,
                forged(maker, packed, 0, codec1.CODEC, maker.receiver.public, kind=Kind.STATEMENT, count=RECORDS_MAX),
            )
            for name, packed in crowds()
        ]
        before, before_bytes = everything_in(folder), begin_peak()
        for name, content in cases:
            with pytest.raises(EdgeboxError) as refusal:
                open_bundle(verify_bundle(content, maker.trusted), maker.receiver)
            assert refusal.value.code == "sync.bundle_malformed", name
            assert (await assert_refused(hub, content)).code == "sync.bundle_malformed", name
        assert memory_bytes("VmHWM") - before_bytes <= PEAK_MAX_BYTES
        assert without_table(everything_in(folder), "box_day") == without_table(before, "box_day")
        assert (await hub.post(maker.next(registries()))).vector.through_seq == 1


async def test_a_hub_refuses_what_bursts_and_goes_on(folder: Path) -> None:
    async with hub_on(folder / "hub", FakeClock(NOW_MS)) as hub:
        maker = await hub.enrolled()
        before = everything_in(folder)
        for name, number, size, packed in bodies():
            content = forged(maker, packed, size, number, maker.receiver.public)
            assert (await assert_refused(hub, content)).code.startswith("sync."), name
        assert without_table(everything_in(folder), "box_day") == without_table(before, "box_day")
        assert (await hub.post(maker.next(registries()))).vector.through_seq == 1


async def test_a_box_keeps_aside_what_bursts_and_takes_what_follows(folder: Path) -> None:
    async with school_scene(folder) as scene:
        hub = scene.hub.listening.hub
        maker = Maker(key=hub.keys.signing)
        receiver = scene.box.identity.signing.verify_key.sealing_public
        taken = 0
        for number, (name, codec_no, size, packed) in enumerate(bodies(), 1):
            content = forged(maker, packed, size, codec_no, receiver, epoch=number)
            with suppress(BundleTooLarge):
                assert await scene.box.receiving.receive(content) is Verdict.APPLY, name
                taken += 1
        states = await scene.rows("SELECT state, count(*) FROM inbox_bundle GROUP BY state")
        assert (states, taken > 40) == ([("aside", taken)], True)
        await scene.send()
        for _ in range(3):
            assert await scene.sync() is None
        assert await scene.told() == WHOLE


@pytest.mark.parametrize("take", ["bundle", "start", "ack"])
def test_no_head_bursts_before_it_is_known_who_signed_it(take: str) -> None:
    maker, key = Maker(), SigningKey.generate()
    takes: dict[str, Callable[[bytes], object]] = {
        "bundle": lambda content: verify_bundle(content, maker.trusted),
        "start": lambda content: verify_head(content, maker.trusted),
        "ack": lambda content: read_ack(content, key.verify_key),
    }
    before_bytes = begin_peak()
    for name, packed in packs():
        for framed in (layout.frame(packed[:4096]), layout.frame(packed[:4096])[:4] + b"\xff\xff" + packed):
            with pytest.raises(EdgeboxError) as refusal:
                takes[take](framed + bytes(64))
            assert refusal.value.code.startswith("sync."), name
    assert memory_bytes("VmHWM") - before_bytes <= PEAK_MAX_BYTES


def test_what_merges_is_bounded_when_it_is_read_too() -> None:
    maker = Maker()
    content = maker.next(merging())
    assert len(open_bundle(verify_bundle(content, maker.trusted), maker.receiver)) == len(merging())
