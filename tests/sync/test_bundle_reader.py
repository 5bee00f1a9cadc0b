"""A second reader of bundles and acks, made from docs/bundle-format.md alone; it shares no code with the first."""

import struct
from hashlib import blake2b
from itertools import accumulate
from typing import Any

import msgpack
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.public import PrivateKey, SealedBox
from nacl.signing import SigningKey as NaclSigningKey
from nacl.signing import VerifyKey as NaclVerifyKey

from content_packs.base import ids
from content_packs.base.signing import SigningKey
from sync.bundle.file import open_file, write_file_bundle
from sync.bundle.layout import ONLY_FILE, AckHead, Vector
from sync.bundle.read import verify_bundle
from sync.bundle.write import write_ack
from sync.records.facts import assignment_id
from sync.records.kinds import KINDS, kind_of
from sync.records.rows import Boot, Statement
from tests.support.school_day import make_day, make_school
from tests.sync.makers import DEVICE, NOW_MS, Maker, answered, completed, merging, registries

FIELDS = (
    "device_seq",
    "id",
    "registration",
    "success",
    "completion",
    "score_raw",
    "score_max",
    "score_scaled",
    "duration_ms",
    "progress",
    "response",
    "body",
)


def digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


def open_frame(content: bytes, public: bytes, domain: bytes) -> tuple[list[Any], bytes]:
    """Check the frame and return head and body."""
    assert content[:4] == b"EBB\x01"
    end = 6 + int.from_bytes(content[4:6], "big")
    NaclVerifyKey(public).verify(domain + b"\0" + content[:end], content[end : end + 64])
    return msgpack.unpackb(content[6:end]), content[end + 64 :]


def read_bundle(content: bytes, public: bytes, receiver: bytes) -> tuple[list[Any], dict[int, list[Any]]]:
    """Return the head and the columns of each kind."""
    head, body = open_frame(content, public, b"edgebox bundle 1")
    assert head[0] == 1
    assert head[1] == digest(public)[:16]
    assert (head[14], head[15]) == (len(body), digest(body))
    secret = PrivateKey(receiver)
    assert head[12] == digest(bytes(secret.public_key))[:16]
    plain = zstandard.ZstdDecompressor().decompress(SealedBox(secret).decrypt(body))
    assert len(plain) == head[13]
    sections = msgpack.unpackb(plain)
    assert [kind for kind, _ in sections] == [
        k for k in (6, 5, 7, 2, 3, 4, 8, 9, 1, *range(11, 20), 10) if k in dict(head[7])
    ]
    return head, dict(sections)


def read_file(content: bytes, public: bytes, receiver: bytes) -> tuple[list[Any], bytes]:
    """Return the head and the file of a bundle that carries one."""
    head, body = open_frame(content, public, b"edgebox bundle 1")
    assert (head[0], head[1], head[11]) == (4, digest(public)[:16], 4)
    assert (head[4], head[5], head[6], head[7], head[10]) == (bytes(8), 1, 1, [], [])
    assert (head[14], head[15]) == (len(body), digest(body))
    secret = PrivateKey(receiver)
    assert head[12] == digest(bytes(secret.public_key))[:16]
    plain = SealedBox(secret).decrypt(body)
    assert (len(plain), len(body)) == (head[13], head[13] + 48)
    return head, plain


def signed64(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def integers(column: bytes, count: int) -> list[int]:
    if not column:
        return [0] * count
    width, planes = column[0], column[1:]
    folded = [sum(planes[plane * count + place] << 8 * plane for plane in range(width)) for place in range(count)]
    return [value // 2 if value % 2 == 0 else -(value + 1) // 2 for value in folded]


def running(column: bytes, count: int) -> list[int]:
    return [signed64(value) for value in accumulate(integers(column, count))]


def bits(column: bytes, count: int) -> list[bool]:
    return [bool(column[place // 8] >> place % 8 & 1) for place in range(count)]


def texts(column: list[bytes], count: int) -> list[bytes]:
    lengths, found, at = integers(column[0], count), [], 0
    for length in lengths:
        found.append(column[1][at : at + length])
        at += length
    return found


def numbers(column: list[bytes], count: int) -> list[int | float]:
    other = bits(column[1], count) if column[1] else [False] * count
    whole = iter(integers(column[0], count - sum(other)))
    doubles = iter(struct.iter_unpack("<d", column[2]))
    return [next(doubles)[0] if is_other else next(whole) for is_other in other]


class Statements:
    """The 28 columns, put together again."""

    def __init__(self, columns: list[Any], count: int) -> None:
        assert len(columns) == 28
        self.columns, self.count = columns, count
        sessions, shapes = integers(columns[0], 2)
        self.lengths = integers(columns[1], sessions)
        self.shapes = list(zip(*(integers(columns[index], shapes) for index in (2, 3, 4)), strict=True))
        self.shape = integers(columns[5], count)
        self.openers = list(accumulate(self.lengths, initial=0))[:-1]
        self.session = [index for index, length in enumerate(self.lengths) for _ in range(length)]
        self.order = sorted(range(count), key=lambda place: self.shape[place])
        self.others = [place for place in self.order if place not in self.openers]
        self.rows: list[dict[str, Any]] = [{"verb_no": self.shapes[shape][0]} for shape in self.shape]

    def has(self, field: str) -> list[int]:
        return [place for place in self.order if self.shapes[self.shape[place]][1] >> FIELDS.index(field) & 1]

    def read(self) -> list[dict[str, Any]]:
        self.read_sessions()
        self.read_activities()
        self.read_times()
        self.read_results()
        return self.rows

    def read_sessions(self) -> None:
        count, columns = len(self.lengths), self.columns
        device, learner, attempt = (integers(columns[index], count) for index in (6, 7, 8))
        openers = [place for place in range(self.count) if place in self.openers and place in self.has("device_seq")]
        rest = [place for place in range(self.count) if place not in openers and place in self.has("device_seq")]
        given = dict(zip(openers, integers(columns[9], len(openers)), strict=True))
        given |= dict(zip(rest, integers(columns[10], len(rest)), strict=True))
        expected: dict[int, int] = {}
        for place, row in enumerate(self.rows):
            session = self.session[place]
            row["device_no"], row["learner_no"] = device[session] - 1, learner[session] - 1
            if place in given:
                row["device_seq"] = given[place] + expected.get(device[session], 0)
                expected[device[session]] = row["device_seq"] + 1
            first, code = self.rows[self.openers[session]].get("device_seq", 0), attempt[session]
            if code:
                row["attempt_seq"] = first - (code - 1 if code > 0 else code)

    def read_activities(self) -> None:
        for place, no in zip(self.openers, running(self.columns[11], len(self.openers)), strict=True):
            self.rows[place]["activity_no"] = no
        steps = dict(zip(self.others, integers(self.columns[12], len(self.others)), strict=True))
        for place in sorted(steps):
            self.rows[place]["activity_no"] = self.rows[place - 1]["activity_no"] + steps[place]

    def read_times(self) -> None:
        for place, at in zip(self.openers, running(self.columns[13], len(self.openers)), strict=True):
            self.rows[place]["timestamp_ms"] = at
        lags = dict(zip(self.others, integers(self.columns[14], len(self.others)), strict=True))
        timed = self.has("duration_ms")
        written = dict(zip(timed, integers(self.columns[15], len(timed)), strict=True))
        stored = integers(self.columns[16], self.count)
        for place, row in enumerate(self.rows):
            mode = self.shapes[self.shape[place]][2]
            if place in lags:
                more = written.get(place, 0) if mode == 1 else 0
                row["timestamp_ms"] = self.rows[place - 1]["timestamp_ms"] + lags[place] + more
            if place in written:
                start = self.rows[self.openers[self.session[place]]]["timestamp_ms"]
                row["duration_ms"] = row["timestamp_ms"] - start - written[place] if mode == 2 else written[place]
            row["stored_lag_seconds"] = stored[place]

    def read_results(self) -> None:
        columns = self.columns
        self.put("success", bits(columns[17], len(self.has("success"))))
        self.put("completion", bits(columns[18], len(self.has("completion"))))
        self.put("score_max", numbers(columns[19], len(self.has("score_max"))))
        for place, value in zip(self.has("score_raw"), numbers(columns[20], len(self.has("score_raw"))), strict=True):
            row = self.rows[place]
            top = row.get("score_max", 0.5)
            expected = top if row.get("success") and float(top).is_integer() else 0
            row["score_raw"] = value if isinstance(value, float) else value + expected
        places = self.has("score_scaled")
        foretold = bits(columns[21], len(places))
        others = iter(numbers(columns[22], len(places) - sum(foretold)))
        for place, is_foretold in zip(places, foretold, strict=True):
            row = self.rows[place]
            row["score_scaled"] = row["score_raw"] / row["score_max"] if is_foretold else next(others)
        self.read_progress()
        self.put("response", [text.decode() for text in texts(columns[24], len(self.has("response")))])
        self.put("id", [columns[25][at : at + 16] for at in range(0, len(columns[25]), 16)])
        self.put("registration", [columns[26][at : at + 16] for at in range(0, len(columns[26]), 16)])
        self.put("body", texts(columns[27], len(self.has("body"))))

    def read_progress(self) -> None:
        places = self.has("progress")
        found = dict(zip(places, numbers(self.columns[23], len(places)), strict=True))
        last: dict[tuple[int, int], int] = {}
        for place in sorted(found):
            key, value = (self.session[place], self.rows[place]["activity_no"]), found[place]
            if isinstance(value, int):
                last[key] = last.get(key, 0) + value
                value = last[key] / 100
            self.rows[place]["progress"] = value

    def put(self, field: str, values: list[Any]) -> None:
        for place, value in zip(self.has(field), values, strict=True):
            self.rows[place][field] = value


def as_dict(statement: Statement) -> dict[str, Any]:
    found = {name: getattr(statement, name) for name in Statement.__slots__}
    found["device_no"] = -1 if statement.device_no is None else statement.device_no
    found["learner_no"] = -1 if statement.learner_no is None else statement.learner_no
    return {name: value for name, value in found.items() if value is not None}


def sort_key(row: dict[str, Any]) -> str:
    return repr(sorted(row.items()))


def assert_reads_alike(statements: list[Statement]) -> None:
    maker = Maker(codec_no=0)
    content = maker.next(list(statements))
    head, sections = read_bundle(content, maker.key.verify_key.raw, maker.receiver.seed)
    rows = Statements(sections[1], dict(head[7])[1]).read()
    assert sorted(rows, key=sort_key) == sorted(map(as_dict, statements), key=sort_key)


def test_a_school_day_is_read_alike() -> None:
    assert_reads_alike(make_day(make_school(), count=400))


def test_statements_of_every_form_are_read_alike() -> None:
    outside = Statement(
        3, 9, NOW_MS, id=bytes(15) + b"\1", registration=bytes(16), body='{"é":1}'.encode(), stored_lag_seconds=-5
    )
    odd = Statement(
        2, 4, NOW_MS - 7, learner_no=2, device_no=1, device_seq=9, attempt_seq=12, score_raw=0.1, score_max=2.5,
        score_scaled=0.3, progress=1 / 3, response="", success=True,
    )  # fmt: skip
    assert_reads_alike([outside, odd, answered(1), answered(2, success=False), completed(3), answered(7, learner=2)])


def test_the_other_kinds_are_read_alike() -> None:
    maker = Maker(codec_no=0)
    head, sections = read_bundle(maker.next(registries()), maker.key.verify_key.raw, maker.receiver.seed)
    counts = dict(head[7])
    assert running(sections[6][0], counts[6]) == [1, 2]
    assert texts(sections[5][1], counts[5])[1] == b"urn:x-edgebox:org.example.sums:adding"
    assert sections[7][1] == DEVICE
    assert [bits(column, 2) for column in sections[4][2:]] == [[True, True]]
    assert texts(sections[3][2], 1) == [b"K7QF"]


# "Records" of the document from kind 11 on: i integer, b switch, t text, v bytes, a number the length; ? is optional.
MERGING = {
    11: "i 16 i t i 16?",
    12: "i 16 16 i 16? b",
    13: "16 16 t t i 16? v",
    14: "16 t t t v i v 16? b",
    15: "16 t i i",
    16: "t i 32 t i i i? i?",
    17: "i t i",
    18: "t i i i i i i i i 16?",
    19: "16 16 16 t i 32 i 16?",
}


def column(form: str, packed: Any, count: int) -> list[Any]:
    if form.endswith("?"):
        present = bits(packed[0], count)
        values = iter(column(form[:-1], packed[1], sum(present)))
        return [next(values) if one else None for one in present]
    if form == "i":
        return running(packed, count)
    if form == "b":
        return bits(packed, count)
    if form in "tv":
        return [raw.decode() if form == "t" else raw for raw in texts(packed, count)]
    size = int(form)
    return [packed[at : at + size] for at in range(0, size * count, size)]


def test_what_merges_is_read_alike() -> None:
    maker = Maker(codec_no=0)
    head, sections = read_bundle(maker.next(merging()), maker.key.verify_key.raw, maker.receiver.seed)
    read: list[tuple[Any, ...]] = []
    for kind, forms in MERGING.items():
        count = dict(head[7])[kind]
        columns = [column(form, packed, count) for form, packed in zip(forms.split(), sections[kind], strict=True)]
        read += zip(*columns, strict=True)
    fields = {kind: [field.name for field in rule.fields] for kind, rule in KINDS.items()}
    assert read == [tuple(getattr(each, name) for name in fields[kind_of(each)]) for each in merging()]


def test_the_id_of_an_assignment_follows_from_what_was_given_to_whom() -> None:
    expected = digest(b"edgebox assignment\0" + b"class-four------" + b"org.example.sums\0adding")[:16]
    assert assignment_id(b"class-four------", "org.example.sums", "adding") == expected


def leb128(packed: bytes) -> list[int]:
    found, number, shift = [], 0, 0
    for byte in packed:
        number, shift = number + (byte % 128 << shift), shift + 7
        if byte < 128:
            found.append(number)
            number = shift = 0
    return found


def test_boots_are_read_alike() -> None:
    maker = Maker(codec_no=0)
    bundle = maker.next([Boot(7, 0, 1, NOW_MS), Boot(300, -86_400_000, 3)])
    head, sections = read_bundle(bundle, maker.key.verify_key.raw, maker.receiver.seed)
    assert dict(head[7]) == {10: 2}
    assert leb128(sections[10]) == [7, 2 * 1 + 1, 0, 2 * NOW_MS, 300, 2 * 3, 2 * 86_400_000 - 1]


def test_ids_and_registrations_follow_from_what_is_carried() -> None:
    seq, at = 77, 1_780_300_812_345
    tail = blake2b(b"edgebox statement\0" + DEVICE + seq.to_bytes(8, "big"), digest_size=10).digest()
    assert ids.derive_statement_id(DEVICE, seq, at) == as_version_8(
        (at // 1000).to_bytes(4, "big") + seq.to_bytes(2, "big") + tail
    )
    head = blake2b(b"edgebox attempt\0" + DEVICE + seq.to_bytes(8, "big"), digest_size=10).digest()
    assert ids.derive_registration(DEVICE, seq) == as_version_8(head + seq.to_bytes(6, "big"))


def as_version_8(raw: bytes) -> bytes:
    found = bytearray(raw)
    found[6] = found[6] & 0x0F | 0x80
    found[8] = found[8] & 0x3F | 0x80
    return bytes(found)


def test_an_ack_is_read_alike() -> None:
    hub = SigningKey.generate()
    ack = write_ack(AckHead(hub.verify_key.key_id, Vector(DEVICE, 3, 7, 900, ((9, 12),)), NOW_MS, 1), hub)
    head, body = open_frame(ack, bytes(NaclSigningKey(hub.seed).verify_key), b"edgebox ack 1")
    assert head == [2, hub.verify_key.key_id, [DEVICE, 3, 7, 900, [[9, 12]]], NOW_MS, 1]
    assert body == b""


def test_an_ack_that_names_express_bundles_is_read_alike() -> None:
    hub = SigningKey.generate()
    vector, tail = Vector(DEVICE, 3, 7, 900), bytes(range(8))
    ack = write_ack(AckHead(hub.verify_key.key_id, vector, NOW_MS, 1, True, tail, ((1, 4), (6, 6)), tail[::-1]), hub)
    head, body = open_frame(ack, bytes(NaclSigningKey(hub.seed).verify_key), b"edgebox ack 1")
    assert head == [2, hub.verify_key.key_id, [DEVICE, 3, 7, 900, []], NOW_MS, 9, tail, [[1, 4], [6, 6]], tail[::-1]]
    assert body == b""


@settings(max_examples=20)
@given(st.binary(max_size=2_000), st.integers(1, 2**53 - 1))
def test_a_file_is_read_as_the_document_says(content: bytes, no: int) -> None:
    maker = Maker()
    written = write_file_bundle(
        content, epoch=4, no=no, key=maker.key, receiver_public=maker.receiver.public, created_ms=NOW_MS
    )
    head, found = read_file(written, maker.key.verify_key.raw, maker.receiver.seed)
    assert (head[2], head[3], head[9], found) == (4, no, NOW_MS, content)
    assert open_file(verify_bundle(written, maker.trusted, ONLY_FILE), maker.receiver) == content
