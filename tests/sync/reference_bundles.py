"""Bundles of every form and of several sizes, with what opens each, for the tests that damage them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from content_packs.base.signing import PairKey
from sync.bundle.file import open_file, write_file_bundle
from sync.bundle.layout import CARRIES_RECORDS, ONLY_FILE, AckHead, BundleKind, Vector
from sync.bundle.paired import parse_paired, write_paired
from sync.bundle.read import open_bundle, read_ack, verify_bundle
from sync.bundle.write import Range, write_ack, write_bundle
from sync.records.rows import Record, Verb
from tests.sync.makers import COMPLETED, NOW_MS, Maker, answered, completed, open_paired, registries

BOX_NO = 1
SMALL_MAX_BYTES = 1_600
_EXPLAINED = (Verb, *{type(record) for record in registries()[2:7]})


@dataclass(frozen=True)
class Reference:
    """One bundle or ack, and what takes it in; that refuses with an `EdgeboxError`."""

    name: str
    content: bytes
    take: Callable[[bytes], object]

    @property
    def is_small(self) -> bool:
        """Return whether all that can happen to it can be tried."""
        return len(self.content) <= SMALL_MAX_BYTES


def short_answers(count: int) -> list[Record]:
    """Return answers as children give them: after some time, right or wrong."""
    dice = random.Random(count)
    return [
        replace(answered(seq, success=dice.random() < 0.7), duration_ms=dice.randrange(40_000))
        for seq in range(1, count + 1)
    ]


def long_answers(count: int) -> list[Record]:
    """Return answers of 2 kB each that cannot be made shorter."""
    dice = random.Random(count)
    return [replace(answered(seq), response=dice.randbytes(2_000).hex()) for seq in range(1, count + 1)]


SIZES: dict[str, list[Record]] = {
    "1 kB": short_answers(130),
    "8 kB": long_answers(3),
    "256 kB": long_answers(125),
}


def references(maker: Maker) -> list[Reference]:
    """Return bundles of each form, of 1, 8 and 256 kB where the form allows it, and an ack."""
    found = [_ack(maker), _file("file, 1 kB", maker, 1_000), _file("file, 256 kB", maker, 256_000)]
    for size, records in SIZES.items():
        found += [
            _usual(f"codec 0, {size}", replace(maker, codec_no=0), [*registries(), *records]),
            _usual(f"codec 1, {size}", maker, [*registries(), *records]),
            _usual(f"coarse, {size}", replace(maker, is_coarse=True), [*registries(), *records]),
            _express(f"express, {size}", maker, records),
            _downstream(f"downstream, {size}", maker, records),
        ]
        if size != "256 kB":
            found += [
                _paired(f"paired, {size}", maker, [*registries(), *records], BundleKind.RECORDS),
                _paired(f"paired express, {size}", maker, [*_explained(), *records], BundleKind.EXPRESS),
            ]
    return found


def _explained() -> list[Record]:
    """Return what an express bundle may carry of the registries."""
    return [Verb(2, COMPLETED), *(record for record in registries() if isinstance(record, _EXPLAINED)), completed(99)]


def _usual(name: str, maker: Maker, records: list[Record]) -> Reference:
    return Reference(
        name,
        maker.next(records),
        lambda content: open_bundle(verify_bundle(content, maker.trusted, CARRIES_RECORDS), maker.receiver),
    )


def _express(name: str, maker: Maker, records: list[Record]) -> Reference:
    content = maker.express([*_explained(), *records])
    return replace(_usual(name, replace(maker), records), content=content)


def _downstream(name: str, maker: Maker, records: list[Record]) -> Reference:
    """Return what a hub, here under the maker's key, sends a box."""
    box = Maker()
    content = write_bundle(
        records, Range(7, 1, 1, 1), key=maker.key, receiver_public=box.key.verify_key.sealing_public, created_ms=NOW_MS
    )
    return Reference(
        name,
        content,
        lambda damaged: open_bundle(verify_bundle(damaged, maker.trusted), box.key.sealing_key),
    )


def _paired(name: str, maker: Maker, records: list[Record], kind: BundleKind) -> Reference:
    pair = PairKey(maker.key.sealing_key, maker.receiver.public)
    span = Range(1, 1, 1, len(records))
    content = write_paired(records, span, pair=pair, box_no=BOX_NO, created_ms=NOW_MS, kind=kind)
    theirs = PairKey(maker.receiver, maker.key.verify_key.sealing_public)
    return Reference(name, content, lambda damaged: open_paired(parse_paired(damaged), theirs))


def _file(name: str, maker: Maker, size_bytes: int) -> Reference:
    content = write_file_bundle(
        random.Random(size_bytes).randbytes(size_bytes),
        epoch=1,
        no=3,
        key=maker.key,
        receiver_public=maker.receiver.public,
        created_ms=NOW_MS,
    )
    return Reference(
        name, content, lambda damaged: open_file(verify_bundle(damaged, maker.trusted, ONLY_FILE), maker.receiver)
    )


def _ack(maker: Maker) -> Reference:
    key_id = maker.key.verify_key.key_id
    vector = Vector(bytes(16), 3, 7, 900, ((9, 12), (20, 21)))
    ack = AckHead(key_id, vector, NOW_MS, 1, True, bytes(8), ((1, 4), (6, 6)), bytes(8))
    return Reference("ack", write_ack(ack, maker.key), lambda content: read_ack(content, maker.key.verify_key))
