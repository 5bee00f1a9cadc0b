"""The parsers of outside input. Each takes bytes, and may raise nothing but errors with a code."""

import contextlib
import io
import json
import random
from collections.abc import Callable
from typing import Any

from content_packs.base import codec, compress, host
from content_packs.base.byte_range import RangeUnsatisfiable, parse_range
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import PairKey, SealingKey, SigningKey
from content_packs.builder.apps import check_page
from content_packs.builder.captions import caption_words
from content_packs.builder.markdown import render_markdown
from content_packs.builder.quiz import compile_quiz
from content_packs.builder.tables import read_table
from content_packs.format import envelope, keyfile, manifest, texts
from content_packs.format.fragment import clean_fragment
from content_packs.format.names import check_distinct, check_path
from content_packs.importers.child import IMPORTERS
from content_packs.importers.contract import Source
from content_packs.importers.entry_names import read_name
from content_packs.importers.html_page import make_ready
from content_packs.importers.reading import Receiver, tell
from content_packs.importers.xml import read_xml
from content_packs.importers.zip_directory import read_directory
from edgebox.domain.events import parse_event, parse_outbox
from edgebox.domain.marking import parse_number
from edgebox.domain.search_text import match_expression
from edgebox.domain.statement_in import Sender, from_event, from_statement
from edgebox.domain.xapi.rules import check_actor, check_statement
from edgebox.domain.xapi.values import parse_json
from edgebox.domain.xapi.version import Version
from edgebox.services import submit_token
from edgebox.services.mounts import parse_table
from edgebox.services.submit_token import SubmitRight
from sync import enrolment
from sync.bundle import codec0, codec1, paired, read
from sync.bundle.layout import AckHead, Vector
from sync.bundle.write import Range, write_ack
from sync.records.activity import parse_activity
from sync.records.moments import parse_duration, parse_timestamp
from sync.records.outside import without_people
from tests.fuzz.pack_targets import PACK_TARGETS
from tests.fuzz.target import Target, void
from tests.fuzz.unit_targets import UNIT_TARGETS
from tests.support.hostile_archives import cases
from tests.support.packs import small_manifest
from tests.support.small_course import _PACK_TOML, _QUIZ
from tests.support.web_app import INDEX, zipped_app
from tests.sync.makers import Maker, answered, completed, merging, open_paired, registries

KEY = SigningKey(b"a key of the fuzz targets".ljust(32, b"."))
SEALING = SealingKey(b"a sealing key for fuzzing".ljust(32, b"."))
TRUSTED = {KEY.verify_key.key_id: KEY.verify_key}
CODE = enrolment.make_code(b"0123456789", KEY.verify_key)
NOW_MS = 1_780_300_800_000


def _text(parse: Callable[[str], Any], *also: type[Exception]) -> Callable[[bytes], None]:
    """Return a parser of text; `also` are what its docstring says it raises."""

    def parse_bytes(data: bytes) -> None:
        with contextlib.suppress(*also):
            parse(data.decode(errors="surrogateescape") if len(data) % 2 else data.decode(errors="replace"))

    return parse_bytes


def _file(parse: Callable[[str], Any]) -> Callable[[bytes], None]:
    """Return a parser of text that is read from a file, which is UTF-8 or refused before."""
    return lambda data: void(parse(texts.make_plain(data.decode(errors="ignore"))))


def _json(parse: Callable[[Any], Any]) -> Callable[[bytes], None]:
    """Return a parser of what the box reads as JSON."""

    def parse_bytes(data: bytes) -> None:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        parse(value)

    return parse_bytes


def _manifest(data: bytes) -> None:
    manifest.parse(data)


def _rooted_manifest(data: bytes) -> None:
    """Read a manifest whose form and root are right whatever else is in it, so that the rules behind are reached."""
    value = codec.decode(data, max_bytes=2**20)
    if isinstance(value, dict) and isinstance(value.get("files"), list):
        with contextlib.suppress(EdgeboxError, TypeError, IndexError):
            value["root"] = manifest.files_root([manifest.FileEntry(*entry) for entry in value["files"]])
    manifest.parse(codec.encode(value))


def _envelope(data: bytes) -> None:
    with contextlib.suppress(EdgeboxError):
        envelope.open_unverified(data)
    envelope.open_envelope(data, TRUSTED)


def _bundle(data: bytes) -> None:
    with contextlib.suppress(EdgeboxError):
        read.peek_origin(data)
    read.open_bundle(read.verify_bundle(data, TRUSTED), SEALING)


_DAY = [*registries(), answered(1), completed(2), *merging()]
_COUNTS = codec0.count_by_kind(_DAY)
_SHORT_PLAIN_BYTES = codec1.pack_records(_DAY, around_ms=NOW_MS)[0]
_PAIR = PairKey(KEY.sealing_key, SEALING.public)
_PAIRED = paired.write_paired(_DAY, Range(1, 2, 3, 4), pair=_PAIR, box_no=5, created_ms=NOW_MS)


def _short_records(data: bytes) -> None:
    codec1.unpack_records(data, plain_bytes=_SHORT_PLAIN_BYTES, counts=_COUNTS, around_ms=NOW_MS)


def _paired(data: bytes) -> None:
    open_paired(paired.parse_paired(data), _PAIR)


def _records(data: bytes) -> None:
    codec0.decode_records(data, _COUNTS)


def _statement(data: bytes) -> None:
    statement = parse_json(data)
    for version in Version:
        with contextlib.suppress(EdgeboxError):
            check_statement(statement, version)
            sender = Sender("http://box/", "account:http://box/ x", 1, version)
            without_people(from_statement(statement, 1, NOW_MS, sender).body or b"")


def _outbox(value: Any) -> None:
    outbox = parse_outbox(value)
    for event in outbox.events:
        with contextlib.suppress(EdgeboxError):
            from_event(parse_event(event), outbox.device_id, 1, event)


def _page(text: str) -> None:
    page = make_ready(text, "sub/index.html", {"a.js", "b.css"}.__contains__)
    check_page(page.html, "sub/index.html")


def _archive(data: bytes) -> None:
    receiver = Receiver(io.BytesIO(b"".join(tell(Source(io.BytesIO(data)), IMPORTERS))).read)
    _receive(receiver)


def _answer(data: bytes) -> None:
    _receive(Receiver(io.BytesIO(data).read))


def _receive(receiver: Receiver) -> None:
    receiver.course()
    for _file, content in receiver.files():
        for _chunk in content:
            pass


def _keys(data: bytes) -> None:
    with contextlib.suppress(EdgeboxError):
        keyfile.parse_secret(data, "key")
    keyfile.parse_public(data, "key.pub")


def _enrolment(value: Any) -> None:
    with contextlib.suppress(EdgeboxError):
        enrolment.check_request(value)
    enrolment.check_answer(value, CODE, KEY.verify_key)


def _names(text: str) -> None:
    with contextlib.suppress(EdgeboxError):
        for part in text.split("\n"):
            check_path(part)
    check_distinct(text.split("\n"))


def _marking(text: str) -> None:
    parse_number(text)
    match_expression(text)
    host.is_ours(host.host_name(text), ("edgebox",))


_STATEMENT = json.dumps(
    {
        "id": "0190e2b4-0000-7000-8000-000000000001",
        "actor": {"objectType": "Agent", "account": {"homePage": "http://x.internal/", "name": "a"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered"}},
        "object": {"id": "urn:x-edgebox:org.example.sums:adding:q1", "definition": {"type": "http://x/y"}},
        "result": {"score": {"scaled": 0.5, "raw": 1, "min": 0, "max": 2}, "success": True, "duration": "PT1M2.5S"},
        "context": {"registration": "0190e2b4-0000-4000-8000-000000000002", "language": "en", "extensions": {"a:b": 1}},
        "timestamp": "2026-11-25T08:00:00.123+02:00",
    }
).encode()
_OUTBOX = json.dumps(
    {
        "device": "0" * 32,
        "held_from": 1,
        "events": [
            {
                "seq": 1, "attempt": 1, "token": "t", "t": NOW_MS, "verb": "answered", "pack": "org.example.a",
                "resource": "halves", "item": "q1", "result": {"success": True, "score": 1, "max": 2, "response": "a"},
            }
        ],
    }
).encode()  # fmt: skip
_MAKER = Maker(receiver=SEALING, key=KEY)
_ENVELOPE = envelope.seal_envelope(small_manifest(), [KEY])
_ZIPS = [zipped_app(), zipped_app(top="a/")] + [
    content for case in cases() if not case.name.startswith("archive.too_") and len(content := case.make()) < 20_000
]
_TOLD = b"".join(tell(Source(io.BytesIO(zipped_app())), IMPORTERS))
_MANIFEST_XML = b'<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1"><schema>ADL SCORM</schema></manifest>'
_CAPTIONS = b"WEBVTT\n\n00:01.000 --> 00:02.000\nA <b>b</b>"
_TEXT = b"# A\n\n![b](c.png)\n\n|a|\n|-|"
_ACK = write_ack(AckHead(KEY.verify_key.key_id, Vector(b"o" * 16, 1, 2, 3, ((4, 6),)), NOW_MS, 1), KEY)
_TOKEN = submit_token.make(b"k" * 32, SubmitRight(1, b"p" * 16))
_PACK_FILE = _PACK_TOML.format(pack="org.example.a", version=1, title="A", lesson="halves", reading="").encode()
_SIGNED = enrolment.make_request(CODE, KEY)
_ANSWERED = enrolment.make_answer(b"0123456789", KEY.verify_key, 3, KEY, SEALING.public)

TARGETS: tuple[Target, ...] = (
    *PACK_TARGETS,
    *UNIT_TARGETS,
    Target("codec", lambda data: codec.decode(data, max_bytes=2**20), [codec.encode({"a": [1, 2.5, b"x", None]})]),
    Target("compress", lambda data: void(compress.decompress(data, max_bytes=2**20)), [compress.compress(b"abc" * 99)]),
    Target("manifest", _manifest, [manifest.serialise(small_manifest())]),
    Target("manifest_rules", _rooted_manifest, [manifest.serialise(small_manifest())]),
    Target("envelope", _envelope, [_ENVELOPE]),
    Target("bundle", _bundle, [_MAKER.next(_DAY)]),
    Target("bundle_short_records", _short_records, [codec1.pack_records(_DAY, around_ms=NOW_MS)[1]]),
    Target("bundle_paired", _paired, [_PAIRED]),
    Target("bundle_records", _records, [codec0.encode_records(_DAY)]),
    Target("ack", lambda data: void(read.read_ack(data, KEY.verify_key)), [_ACK]),
    Target("statement", _statement, [_STATEMENT]),
    Target("actor", _json(check_actor), [b'{"mbox": "mailto:a@b"}', b'{"objectType": "Group", "member": []}']),
    Target("outbox", _json(_outbox), [_OUTBOX]),
    Target("quiz", _file(lambda text: compile_quiz(text, "q.toml", ["en", "fr", "ar", "zh-Hans"])), [_QUIZ.encode()]),
    Target("captions", _file(lambda text: caption_words(text, "c.vtt")), [_CAPTIONS]),
    Target("pack_file", _file(lambda text: read_table("pack.toml", text).tables("lesson", most=9)), [_PACK_FILE]),
    Target("text", _file(lambda text: clean_fragment(render_markdown(text, "t.md").html.decode())), [_TEXT]),
    Target("page_check", _file(lambda text: check_page(text, "index.html")), [INDEX]),
    Target("page", _file(_page), [INDEX]),
    Target("zip", lambda data: void(read_directory(io.BytesIO(data))), _ZIPS),
    Target("import", _archive, _ZIPS),
    Target("import_answer", _answer, [_TOLD]),
    Target("entry_name", lambda data: void(read_name(data)), [b"a/b.js", "é/ü.js".encode(), b"CON"]),
    Target("xml", lambda data: read_xml(data, "x", lambda *_: None, lambda *_: None), [_MANIFEST_XML]),
    Target("keys", _keys, [keyfile.format_secret(KEY).encode(), keyfile.format_public(KEY.verify_key, "A").encode()]),
    Target("enrolment", _json(_enrolment), [json.dumps(_SIGNED).encode(), json.dumps(_ANSWERED).encode()]),
    Target("enrolment_code", _text(enrolment.parse_code), [CODE.encode()]),
    Target("submit_token", _text(lambda text: submit_token.check(b"k" * 32, text)), [_TOKEN.encode()]),
    Target("names", _text(_names), [b"a/b.js\nA/c", "é.js\ne\u0301.js".encode()]),
    Target("range", _text(lambda text: parse_range(text, 1000), RangeUnsatisfiable), [b"bytes=0-9", b"bytes=-5"]),
    Target("activity", _text(parse_activity), [b"urn:x-edgebox:org.example.sums:adding:q1"]),
    Target("moment", _text(parse_timestamp, ValueError), [b"2026-11-25T08:00:00.123+02:00"]),
    Target("duration", _text(parse_duration, ValueError), [b"P1Y2M3DT4H5M6.7S", b"PT1M"]),
    Target("typed_text", _text(_marking), [b"1,5", "٣٫٥".encode(), b"half pizza", b"[::1]:8080"]),
    Target("mounts", lambda data: void(list(parse_table(data))), [b"36 35 98:0 / /media/a rw - vfat /dev/sda1 rw"]),
)  # fmt: skip
BY_NAME = {target.name: target for target in TARGETS}


def variants(seed: bytes, count: int, number: int) -> list[bytes]:
    """Return damaged forms of a seed, the same at every run: for every run of the tests, without a fuzzer."""
    chance = random.Random(number)
    found = [seed, seed[: len(seed) // 2], seed * 2, b"", b"\x00" * 100, b"[" * 50_000, b"\xff" * 50]
    for _ in range(count):
        data = bytearray(seed or b"0")
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            data[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3)) or b"\x80"
            data = data or bytearray(b"0")
        found.append(bytes(data))
    return found
