"""The test vectors of docs/bundle-format.md: `python -m tests.support.bundle_vectors > docs/vectors/bundle-v1.json`.

They hold what follows from keys and records alone: bodies as they are sealed, signed heads, acks, and short bundles
with fixed random bytes. Bundles of the usual form are sealed with fresh randomness and are not among them.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from content_packs.base import codec, ids
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import PairKey, SealingKey, SigningKey
from sync.bundle import codec0, codec1, file
from sync.bundle.layout import (
    NO_PREVIOUS,
    RECORDS_DOMAIN,
    AckHead,
    BundleKind,
    Head,
    Vector,
    ack_to_list,
    frame,
    head_to_list,
)
from sync.bundle.paired import write_paired
from sync.bundle.write import Range, sealing_key_id, write_ack
from sync.records.kinds import kind_of
from sync.records.rows import Activity, Boot, Device, Learner, Record, Statement, Verb
from tests.sync.makers import COMPLETED, DEVICE, NOW_MS, answered, completed, merging, registries

BOX = SigningKey(b"the key of a box in the vectors.")
HUB = SigningKey(b"the key of a hub in the vectors.")
SEALING = SealingKey(b"what is sealed to the hub opens.")
SALT = b"salt"
BOX_NO = 400

_OUTSIDE = Statement(
    3, 9, NOW_MS, id=bytes(15) + b"\1", registration=bytes(16), body='{"é":1}'.encode(), stored_lag_seconds=-5
)
_ODD = Statement(
    2, 4, NOW_MS - 7, learner_no=2, device_no=1, device_seq=9, attempt_seq=12, score_raw=0.1, score_max=2.5,
    score_scaled=0.3, progress=1 / 3, response="", success=True,
)  # fmt: skip
CLOSING: list[Record] = [
    Verb(2, COMPLETED),
    Activity(2, "urn:x-edgebox:org.example.sums:adding"),
    Device(1, DEVICE),
    Learner(1, b"learner-one-----"),
    Boot(1, 0, 1, NOW_MS - 5_000),
    completed(9),
]
RECORDS: dict[str, list[Record]] = {
    "registries": registries(),
    "what merges": merging(),
    "boots": [Boot(1, 0, 1, NOW_MS), Boot(1, -3_600_000, 3), Boot(2, 0, 3, NOW_MS + 1)],
    "statements": [answered(1), answered(2, success=False), completed(3), answered(7, learner=2)],
    "statements of outside": [_OUTSIDE, _ODD],
    "closing results": CLOSING,
}
VECTOR = Vector(HUB.verify_key.key_id, 9, 8, 7, ((10, 11), (20, 300)))


def vectors() -> dict[str, Any]:
    """Return the vectors; bytes are in hexadecimal."""
    return {
        "box_seed": BOX.seed.hex(),
        "hub_seed": HUB.seed.hex(),
        "sealing_seed": SEALING.seed.hex(),
        "bodies": [_body(name, records) for name, records in RECORDS.items()],
        "heads": [_head(name, head) for name, head in _HEADS.items()],
        "acks": [_ack(name, ack) for name, ack in _ACKS.items()],
        "paired": [_paired(name, *given) for name, given in _PAIRED.items()],
    }


def plain_record(record: Record) -> list[Any]:
    """Return a record as its kind and the fields that it has."""
    named = {name: getattr(record, name) for name in record.__slots__}
    return [int(kind_of(record)), {name: as_plain(value) for name, value in named.items() if value is not None}]


def as_plain(value: Any) -> Any:
    """Return a value with bytes in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    return [as_plain(each) for each in value] if isinstance(value, list) else value


def _body(name: str, records: Sequence[Record]) -> dict[str, Any]:
    rest_bytes, packed = codec1.pack_records(records, around_ms=NOW_MS)
    return {
        "name": name,
        "records": [plain_record(record) for record in records],
        "counts": sorted([int(kind), count] for kind, count in codec0.count_by_kind(records).items()),
        "created_ms": NOW_MS,
        "codec_0": {"plain": codec0.encode_records(records).hex(), "packed": codec0.pack_records(records)[1].hex()},
        "codec_1": {"plain_bytes": rest_bytes, "packed": packed.hex()},
    }


def _head(name: str, head: Head) -> dict[str, Any]:
    signed = frame(codec.encode(head_to_list(head)))
    start = signed + BOX.sign(RECORDS_DOMAIN, signed)
    return {"name": name, "values": as_plain(head_to_list(head)), "start": start.hex()}


def _ack(name: str, ack: AckHead) -> dict[str, Any]:
    return {"name": name, "values": as_plain(ack_to_list(ack)), "file": write_ack(ack, HUB).hex()}


def _paired(name: str, kind: BundleKind, vector: Vector | None, records: Sequence[Record]) -> dict[str, Any]:
    span = Range(3, 70_000, 5, 200, None if kind is BundleKind.EXPRESS else bytes(range(32)))
    pair = PairKey(BOX.sealing_key, SEALING.public)
    with patch.object(ids, "random_bytes", return_value=SALT):
        content = write_paired(
            records, span, pair=pair, box_no=BOX_NO, created_ms=NOW_MS, clock_quality=3, vector=vector, kind=kind
        )
    return {"name": name, "records": [plain_record(record) for record in records], "file": content.hex()}


_RECORDS_HEAD = Head(
    origin=BOX.verify_key.key_id,
    epoch=3,
    seq=70_000,
    previous=bytes(range(8)),
    from_change=5,
    through_change=200,
    counts=((1, 4), (6, 2)),
    clock_quality=3,
    created_ms=NOW_MS,
    acks=(VECTOR,),
    codec=1,
    sealed_to=sealing_key_id(SEALING.public),
    plain_bytes=100,
    sealed_bytes=81,
    hash=blake2b_256(b"a sealed body"),
)
_HEADS = {
    "records": _RECORDS_HEAD,
    "the first of a box, codec 0": replace(
        _RECORDS_HEAD, epoch=0, seq=1, previous=NO_PREVIOUS, from_change=1, acks=(), codec=0, clock_quality=0
    ),
    "express": replace(_RECORDS_HEAD, kind=BundleKind.EXPRESS, seq=2, previous=NO_PREVIOUS, counts=((1, 1), (6, 1))),
    "a file": replace(
        _RECORDS_HEAD,
        kind=BundleKind.FILE,
        seq=5,
        previous=NO_PREVIOUS,
        from_change=1,
        through_change=1,
        counts=(),
        acks=(),
        codec=file.CODEC,
        plain_bytes=9,
        sealed_bytes=57,
    ),
}
_OF_BOX = Vector(BOX.verify_key.key_id, 3, 7, 900, ((9, 12),))
_ACKS = {
    "of a box that wrote codec 0": AckHead(HUB.verify_key.key_id, _OF_BOX, NOW_MS, 0, reads_short=True),
    "with the end of what is held": AckHead(HUB.verify_key.key_id, _OF_BOX, NOW_MS, 3, True, bytes(range(8))),
    "with express bundles": AckHead(
        HUB.verify_key.key_id, _OF_BOX, NOW_MS, 0, True, bytes(range(8)), ((1, 4), (6, 6)), bytes(range(8, 16))
    ),
}
_PAIRED: dict[str, tuple[BundleKind, Vector | None, list[Record]]] = {
    "with a vector": (BundleKind.RECORDS, VECTOR, [*registries(), answered(1), completed(2)]),
    "without": (BundleKind.RECORDS, None, merging()),
    "express": (BundleKind.EXPRESS, VECTOR, CLOSING),
}


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
