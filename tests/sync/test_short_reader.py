"""A second reader of codec 1 and of paired bundles, made from docs/bundle-format.md alone."""

import struct
from hashlib import blake2b
from typing import Any

import msgpack
import zstandard
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_scalarmult, crypto_scalarmult_base
from nacl.public import PrivateKey, SealedBox
from nacl.signing import VerifyKey as NaclVerifyKey

from content_packs.base.signing import PairKey
from sync.bundle.layout import BundleKind, Vector
from sync.bundle.paired import write_paired
from sync.bundle.write import Range
from sync.records.coarse import coarse_times
from sync.records.rows import Activity, Device, Learner, Statement, Verb
from tests.support.school_day import make_day, make_school
from tests.sync.makers import COMPLETED, DEVICE, NOW_MS, Maker, answered, completed, registries

FIELDS = (
    "device_seq", "id", "registration", "success", "completion", "score_raw", "score_max", "score_scaled",
    "duration_ms", "progress", "response", "body",
)  # fmt: skip
USUAL = (0x1, 0x101, 0x201, 0x301, 0x11, 0x111, 0x311, 0x5E9, 0x1E9, 0x2E9, 0x1F9, 0x509, 0x802, 0x806)
SHAPES = [12, 12] + 8 * [4] + 22 * [1]
ANSWERS = 6 * [4] + 57 * [1] + [8]
LENGTHS = [30] + 17 * [10] + 47 * [1]


def fold64(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


class RangeCoder:
    def __init__(self, coded: bytes) -> None:
        self.range, self.code, self.rest = 2**32 - 1, 0, iter(coded)
        self.contexts: dict[Any, list[int]] = {}
        self.doubles: list[float] = []
        for _ in range(4):
            self.code = self.code * 256 + next(self.rest, 0)

    def fill(self) -> None:
        while self.range < 2**24:
            self.range *= 256
            self.code = self.code * 256 + next(self.rest, 0)

    def symbol(self, context: Any, first: list[int], step: int = 32) -> int:
        counts = self.contexts.setdefault(context, list(first))
        part = self.range // sum(counts)
        target, symbol = min(self.code // part, sum(counts) - 1), 0
        while sum(counts[: symbol + 1]) <= target:
            symbol += 1
        self.code -= part * sum(counts[:symbol])
        self.range = part * counts[symbol]
        self.fill()
        counts[symbol] += step
        if sum(counts) > 2**15:
            counts[:] = [(count + 1) // 2 for count in counts]
        return symbol

    def bit(self, context: Any, step: int = 32) -> int:
        return self.symbol(context, [1, 1], step)

    def raw(self, bits: int) -> int:
        value = 0
        while bits:
            group = min(bits, 12)
            self.range //= 2**group
            found = min(self.code // self.range, 2**group - 1)
            self.code -= self.range * found
            self.fill()
            value, bits = value * 2**group + found, bits - group
        return value

    def number(self, context: Any) -> int:
        length = self.symbol((context, "length"), LENGTHS, 128)
        if not length:
            return 0
        value, left = 1, length - 1
        for _ in range(2):
            if left:
                bits = min(left, 3)
                value = value * 2**bits + self.symbol((context, length, value), 2**bits * [1], 2)
                left -= bits
        return value * 2**left + self.raw(left)

    def signed(self, context: Any) -> int:
        value = self.number(context)
        if value == 1:
            return -(2**63)
        return value // 2 if value % 2 == 0 else -(value // 2)

    def double(self) -> float:
        place = self.symbol("double", ANSWERS)
        if place == 63:
            self.doubles.append(float(struct.unpack(">d", self.raw(64).to_bytes(8, "big"))[0]))
            return self.doubles[-1]
        return self.doubles[place + self.number("far double") if place == 62 else place]

    def real(self, context: Any, around: float) -> float:
        if self.bit(("whole", context)):
            return float(around + self.signed(context))
        return self.double()


class Statements:
    """The numbered steps of "Statements in codec 1"."""

    def __init__(self, coded: bytes, texts: bytes, created: int, coarse: bool) -> None:
        self.coder, self.texts = RangeCoder(coded), texts
        self.time_step, self.duration_step = (1000, 100) if coarse else (1, 1)
        self.start = created // self.time_step
        self.activity = self.lag = 0
        self.shapes: list[tuple[int, int, int]] = []
        self.sequence: dict[int, int] = {}
        self.maxima: dict[int, float] = {}
        self.pace: dict[int, tuple[int, int]] = {}
        self.known: list[str] = []
        self.last: dict[Any, str] = {}

    def read(self, count: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        device_bits, learner_bits = self.coder.raw(7), self.coder.raw(7)
        while len(rows) < count:
            rows += self.session(device_bits, learner_bits)
        return rows

    def session(self, device_bits: int, learner_bits: int) -> list[dict[str, Any]]:
        device, learner = self.coder.raw(device_bits), self.coder.raw(learner_bits)
        attempt = self.coder.signed("attempt")
        rows: list[dict[str, Any]] = []
        self.shape, self.outcomes, self.reached = 0, [0, 0], {}
        while shape := self.next_shape():
            row: dict[str, Any] = {"device_no": device - 1, "learner_no": learner - 1}
            rows.append(row)
            self.statement(row, shape, rows)
            self.shape = shape
        for row in rows:
            if attempt:
                row["attempt_seq"] = rows[0].get("device_seq", 0) - (attempt - 1 if attempt > 0 else attempt)
        return rows

    def next_shape(self) -> int:
        shape = self.coder.symbol(("shape", min(self.shape, 31)), SHAPES)
        if shape == 1:
            verb, mask = self.coder.number("verb"), self.coder.symbol("usual mask", 15 * [1])
            mask = USUAL[mask] if mask < 14 else self.coder.raw(12)
            self.shapes.append((verb, mask, self.coder.symbol("mode", 3 * [1])))
            return len(self.shapes) + 1
        return 31 + self.coder.number("far shape") if shape == 31 else shape

    def statement(self, row: dict[str, Any], shape: int, rows: list[dict[str, Any]]) -> None:
        coder = self.coder
        row["verb_no"], mask, mode = self.shapes[shape - 2]
        has = [name for bit, name in enumerate(FIELDS) if mask >> bit & 1]
        self.place(row, has)
        if len(rows) == 1:
            self.activity = self.opener = fold64(self.activity + coder.signed("opener"))
            self.start = self.time = self.start + coder.signed("start")
            self.here = self.opener
        else:
            step = coder.symbol(("step", self.shape, shape), 4 * [1])
            move = coder.signed(("activity", self.shape, shape)) if step == 3 else 0
            self.here = (self.here, self.here + 1, self.opener, fold64(self.here + move))[step]
        row["activity_no"] = self.here
        if "success" in has:
            seen = tuple(min(count, 3) for count in self.outcomes)
            row["success"] = bool(coder.bit(("success", seen), 3))
            self.outcomes[row["success"]] += 1
        duration = self.times(row, shape, mode, "duration_ms" in has, len(rows) > 1)
        if "completion" in has:
            row["completion"] = bool(coder.bit(("completion", shape)))
        self.scores(row, shape, [name for name in has if name.startswith("score")])
        if "progress" in has:
            row["progress"] = self.progress(shape, duration)
        self.others(row, has)

    def place(self, row: dict[str, Any], has: list[str]) -> None:
        coder, device = self.coder, row["device_no"]
        if "device_seq" in has:
            if device not in self.sequence:
                self.sequence[device] = coder.number("first sequence") - 1
            row["device_seq"] = self.sequence[device] + 1
        if not coder.bit("in step"):
            self.lag += coder.signed("stored")
            if "device_seq" in has:
                row["device_seq"] += coder.signed("sequence")
        if "device_seq" in has:
            self.sequence[device] = row["device_seq"]
        row["stored_lag_seconds"] = self.lag

    def times(self, row: dict[str, Any], shape: int, mode: int, timed: bool, follows: bool) -> int | None:
        coder, duration = self.coder, None
        if timed and mode < 2:
            duration = coder.number(("duration", shape, row.get("success")))
        if follows:
            more = (duration or 0) * self.duration_step // self.time_step if mode == 1 else 0
            self.time += more + coder.signed(("lag", shape))
        if timed and mode == 2:
            since = (self.time - self.start) * self.time_step // self.duration_step
            duration = since - coder.signed(("since", shape))
        row["timestamp_ms"] = self.time * self.time_step
        if duration is not None:
            row["duration_ms"] = duration * self.duration_step
        return duration

    def scores(self, row: dict[str, Any], shape: int, has: list[str]) -> None:
        if not has:
            return
        coder, success = self.coder, row.get("success")
        expected = self.expected(self.maxima.get(shape) if "score_max" in has else None, success, has)
        if None not in expected.values() and coder.bit(("usual", shape, success)):
            row.update(expected)
            return
        if "score_max" in has:
            row["score_max"] = self.maxima[shape] = coder.real(("maximum", shape), 0)
        if "score_raw" in has:
            around = self.expected(row.get("score_max"), success, ["score_raw"])["score_raw"] or 0.0
            row["score_raw"] = coder.real(("raw", shape, success), around)
        if "score_scaled" in has:
            top = row.get("score_max")
            if top and "score_raw" in row and coder.bit(("scaled", shape)):
                row["score_scaled"] = row["score_raw"] / top
            else:
                row["score_scaled"] = coder.real(("other scaled", shape), 0)

    def expected(self, top: float | None, success: bool | None, has: list[str]) -> dict[str, float | None]:
        raw = (top if top is not None and top.is_integer() and success else 0.0) if "score_raw" in has else None
        scaled = raw / top if top and raw is not None else None
        return {name: {"score_max": top, "score_raw": raw, "score_scaled": scaled}[name] for name in has}

    def progress(self, shape: int, duration: int | None) -> float:
        if not self.coder.bit(("hundredths", shape)):
            return self.coder.double()
        gain, took = self.pace.get(self.here, (0, 1))
        pace = 0 if duration is None else (gain * duration + took // 2) // took
        before = self.reached.get(self.here, 0)
        found = min(before + pace, 100) + self.coder.signed(("progress", shape, pace > 0))
        if duration is not None and duration > 0 and found > before and found < 100:
            self.pace[self.here] = (found - before, duration)
        self.reached[self.here] = found
        return found / 100

    def others(self, row: dict[str, Any], has: list[str]) -> None:
        if "response" in has:
            row["response"] = self.response((self.here, row.get("success")))
        for name in ("id", "registration"):
            if name in has:
                row[name] = self.coder.raw(128).to_bytes(16, "big")
        if "body" in has:
            row["body"] = self.text("body length")

    def response(self, key: tuple[int, bool | None]) -> str:
        if key in self.last and self.coder.bit(("same answer", key[1])):
            return self.last[key]
        answer = self.coder.symbol("answer", ANSWERS)
        if answer == 63:
            self.known.append(self.text("answer length").decode())
            answer = len(self.known) - 1
        elif answer == 62:
            answer += self.coder.number("far answer")
        self.last[key] = self.known[answer]
        return self.last[key]

    def text(self, context: str) -> bytes:
        length = self.coder.number(context)
        found, self.texts = self.texts[:length], self.texts[length:]
        return found


def varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (content[place] & 127) << shift
        shift, place = shift + 7, place + 1
        if content[place - 1] < 128:
            return value, place


def read_body(plain: bytes, counts: dict[int, int], created: int, rest_bytes: int) -> tuple[Any, list[dict[str, Any]]]:
    flags = plain[0]
    length, place = varint(plain, 1)
    rest, coded = plain[place : place + length], plain[place + length :]
    if flags & 2:
        rest = zstandard.ZstdDecompressor().decompress(rest)
    assert len(rest) == rest_bytes
    length, place = varint(rest, 0) if rest else (0, 0)
    sections = msgpack.unpackb(rest[place : place + length]) if length else []
    statements = Statements(coded, rest[place + length :], created, bool(flags & 1)).read(counts.get(1, 0))
    return sections, statements


def read_usual(content: bytes, maker: Maker) -> tuple[Any, list[dict[str, Any]]]:
    end = 6 + int.from_bytes(content[4:6], "big")
    NaclVerifyKey(maker.key.verify_key.raw).verify(b"edgebox bundle 1\0" + content[:end], content[end : end + 64])
    head = msgpack.unpackb(content[6:end])
    assert (head[0], head[4]) == (3, bytes(8)) if head[0] != 1 else len(head) == 16
    assert head[11] == 1
    plain = SealedBox(PrivateKey(maker.receiver.seed)).decrypt(content[end + 64 :])
    return read_body(plain, dict(head[7]), head[9], head[13])


def keyed(key: bytes, data: bytes) -> bytes:
    return blake2b(data, digest_size=32, key=key).digest()


def read_paired(content: bytes, box_public: bytes, hub_secret: bytes) -> tuple[list[int], Any, list[dict[str, Any]]]:
    assert content[:4] == b"EBB\x02"
    place, numbers = 5, []
    box_no, place = varint(content, place)
    place += 0 if content[4] & 16 else 4
    for _ in range(7):
        value, place = varint(content, place)
        numbers.append(value)
    counts = {}
    for _ in range(numbers[6]):
        kind, place = varint(content, place)
        counts[kind], place = varint(content, place)
    if content[4] & 8:
        vector = []
        for _ in range(4):
            value, place = varint(content, place)
            vector.append(value)
        for _ in range(2 * vector[3]):
            value, place = varint(content, place)
            vector.append(value)
        numbers += vector
    place += 4
    box_x25519 = NaclVerifyKey(box_public).to_curve25519_public_key().encode()
    hub_x25519 = crypto_scalarmult_base(hub_secret)
    secret = keyed(crypto_scalarmult(hub_secret, box_x25519), b"".join(sorted((box_x25519, hub_x25519))))
    head = content[:place]
    key = keyed(secret, b"edgebox paired 2\0" + head)
    plain = crypto_aead_xchacha20poly1305_ietf_decrypt(content[place:], head, bytes(24), key)
    return [box_no, *numbers], *read_body(plain, counts, numbers[4] * 1000, numbers[5])


def as_dict(statement: Statement, *, coarse: bool = False) -> dict[str, Any]:
    found = {name: getattr(statement, name) for name in Statement.__slots__}
    if coarse:
        found["timestamp_ms"], found["duration_ms"] = coarse_times(statement.timestamp_ms, statement.duration_ms)
    found["device_no"] = -1 if statement.device_no is None else statement.device_no
    found["learner_no"] = -1 if statement.learner_no is None else statement.learner_no
    return {name: value for name, value in found.items() if value is not None}


def assert_reads_alike(statements: list[Statement], *, coarse: bool = False) -> None:
    maker = Maker(is_coarse=coarse)
    sections, rows = read_usual(maker.next([*registries(), *statements]), maker)
    assert [kind for kind, _columns in sections] == [6, 5, 7, 2, 3, 4, 8, 9]
    expected = [as_dict(statement, coarse=coarse) for statement in statements]
    assert sorted(map(repr, map(sorted, map(dict.items, rows)))) == sorted(
        map(repr, map(sorted, map(dict.items, expected)))
    )


def test_a_school_day_is_read_alike() -> None:
    assert_reads_alike(make_day(make_school(), count=3000))


def test_a_school_day_in_coarse_times_is_read_alike() -> None:
    assert_reads_alike(make_day(make_school(3), seed=4, count=1000), coarse=True)


def test_statements_of_every_form_are_read_alike() -> None:
    outside = [
        Statement(3, no, NOW_MS, id=bytes(15) + bytes([no]), registration=bytes(16), body='{"é":1}'.encode())
        for no in range(9)
    ]
    odd = Statement(
        2, 4, NOW_MS - 7, learner_no=2, device_no=1, device_seq=9, attempt_seq=12, score_raw=0.1, score_max=2.5,
        score_scaled=0.3, progress=1 / 3, response="", success=True, stored_lag_seconds=-5,
    )  # fmt: skip
    many = [
        Statement(
            no, no * no, NOW_MS + no * 977, learner_no=no % 3, device_no=2, device_seq=no, duration_ms=no * 500,
            response=f"r{no}", success=no % 2 == 0, progress=no % 80 / 97, score_raw=no % 7 / 9,
        )
        for no in range(1, 90)
    ]  # fmt: skip
    assert_reads_alike([*outside, odd, answered(1), answered(2, success=False), completed(3), *many])


def test_a_paired_bundle_is_read_alike() -> None:
    maker = Maker()
    pair = PairKey(maker.key.sealing_key, maker.receiver.public)
    records = [*registries(), answered(1), completed(2)]
    span = Range(3, 70_000, 5, 200, bytes(range(32)))
    vector = Vector(b"", 9, 8, 7, ((10, 11), (20, 300)))
    content = write_paired(records, span, pair=pair, box_no=400, created_ms=NOW_MS, clock_quality=3, vector=vector)
    numbers, sections, rows = read_paired(content, maker.key.verify_key.raw, maker.receiver.seed)
    assert numbers[:6] == [400, 3, 70_000, 5, 195, NOW_MS // 1000]
    assert numbers[8:] == [9, 8, 7, 2, 10, 11, 20, 300]
    assert (content[4], content[7:11]) == (8 | 3, bytes(range(4)))
    assert len(sections) == 8
    assert sorted(map(repr, rows)) != []
    assert [row["device_seq"] for row in rows] == [1, 2]


def test_express_bundles_of_both_forms_are_read_alike() -> None:
    maker = Maker()
    records = [Verb(1, COMPLETED), Activity(2, "urn:x"), Device(1, DEVICE), Learner(1, bytes(16)), completed(1)]
    sections, rows = read_usual(maker.express(records, 7), maker)
    pair = PairKey(maker.key.sealing_key, maker.receiver.public)
    content = write_paired(
        records, Range(3, 2, 5, 200), pair=pair, box_no=4, created_ms=NOW_MS, clock_quality=3, kind=BundleKind.EXPRESS
    )
    numbers, short_sections, short_rows = read_paired(content, maker.key.verify_key.raw, maker.receiver.seed)
    assert (content[4], numbers[:5]) == (16 | 3, [4, 3, 2, 5, 195])
    assert (sections, rows) == (short_sections, short_rows)
    assert [kind for kind, _ in sections] == [6, 5, 7, 2]
    assert [row["device_seq"] for row in rows] == [1]
