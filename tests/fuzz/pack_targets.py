"""The parsers of what comes with packs: patches, selections, overlays, lists of a depot, and what a line brings."""

import contextlib
import hashlib
import json
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from multidict import CIMultiDict
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Delegations, Metadata, Targets

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.fetch import partial, ranges
from content_packs.fetch.blocks import BlockMap
from content_packs.fetch.contract import Ask
from content_packs.fetch.http import HttpSource
from content_packs.fetch.offers import Offered, Want, file_header, read_index, read_want, write_index, write_want
from content_packs.fetch.want import AnswerReader
from content_packs.format import envelope, manifest, selection
from content_packs.format.manifest import FileEntry, Overlay
from content_packs.format.merging import Layer, fitting, merge
from content_packs.format.selection import Selection
from content_packs.patch import plan
from content_packs.patch.containers import KINDS, close, open_container
from content_packs.patch.head import DOMAIN, PatchHead, block_hashes, head_length, open_head, seal_head
from content_packs.patch.plan import Container, Group
from content_packs.patch.workshop import units
from content_packs.trust import client, listing, store
from content_packs.trust.listing import ListedPack, ListedPublisher, PackList
from tests.fuzz.target import Target, void
from tests.support.packs import small_manifest
from tests.support.web_app import zipped_app

KEY = SigningKey(b"a key of the fuzz targets".ljust(32, b"."))
TRUSTED = {KEY.verify_key.key_id: KEY.verify_key}
_BASE = small_manifest()
_SEALED = envelope.split_envelope(envelope.seal_envelope(_BASE, [KEY]))
_KNOWN = plan.known(_SEALED)
_HEAD = PatchHead(_BASE.pack, _BASE.root[:16], 3, bytes(range(16)), 4, 65_536, 20, 60, 18, block_hashes([b"x" * 60]))
_KEPT_MAX_BYTES = 2**20


def _patch_file(data: bytes) -> None:
    length = head_length(data[:8])
    open_head(data[8 : 8 + length], TRUSTED)


def _patch_record(data: bytes) -> None:
    """Read a head whose signature fits whatever is in it."""
    head, _ = open_head(codec.encode([data, KEY.verify_key.key_id, KEY.sign(DOMAIN, data)]), TRUSTED)
    head.check_block(head.block_count - 1, b"")


def _patch_plan(data: bytes) -> None:
    following = plan.read_plan(data, _KNOWN, KEY.verify_key.key_id)
    deque(units(following.work, 20), maxlen=0)
    hashes = [blake2b_256(bytes([number % 256])) for number in range(len(following.work.targets))]
    void((following.title, following.left_out(Selection(frozenset({"x"})))))
    envelope.open_envelope(plan.rebuild(following, _HEAD, hashes), TRUSTED)


def _containers(data: bytes) -> None:
    """Open a file as every kind of container, and close what could be an opened form."""
    for kind in KINDS:
        deque(open_container(data, kind, ()), maxlen=0)
    left = _KEPT_MAX_BYTES
    for step in close(iter([data]), [6, 793, 6, 6]):
        left -= len(step)
        if left < 0:
            return


def _overlay(data: bytes) -> None:
    """Lay an overlay over a pack; its form and root are right whatever else is in it."""
    value = codec.decode(data, max_bytes=2**20)
    if isinstance(value, dict) and isinstance(value.get("files"), list):
        with contextlib.suppress(EdgeboxError, TypeError, IndexError):
            value["root"] = manifest.files_root([FileEntry(*entry) for entry in value["files"]])
    over = manifest.parse(codec.encode(value))
    there = frozenset(entry.path for entry in over.files)
    for signer in (b"same", b"other"):
        fitting(_BASE, b"same", [Layer(over, signer, there)])
        merge(_BASE, b"same", frozenset({"a.html"}), [Layer(over, signer, there), Layer(over, signer, frozenset())])


def _list_record(data: bytes) -> None:
    """Read what a publisher and a platform may say in a record that was signed properly."""
    with contextlib.suppress(RepositoryError):
        record = Metadata[Any].from_bytes(data).signed
        if isinstance(record, Targets):
            given = record.delegations or Delegations({}, {})
            said = {role.name: record for role in (given.roles or {}).values()}
            void([client._publisher(role, given, record) for role in (given.roles or {}).values()])
            void([*client._listed(given, said), *client._withdrawn(record, given, said)])
    store.check_root(data)


def _kept_list(data: bytes) -> None:
    with contextlib.suppress(KeyError, ValueError, TypeError):
        listing.encode_list(listing.decode_list(data))


def _offers(data: bytes) -> None:
    with contextlib.suppress(EdgeboxError):
        read_index(data)
    read_want(data)


def _answer_of_many(data: bytes) -> None:
    reader = AnswerReader({blake2b_256(b"x"): 1, blake2b_256(b""): 0, blake2b_256(b"yy"): 2})
    for start in range(0, len(data), 17):
        deque(reader.feed(data[start : start + 17]), maxlen=0)


def _fetch_journal(data: bytes) -> None:
    found = partial._parse(data)
    if found is not None:
        blocks = BlockMap(1000, 300, tuple(blake2b_256(bytes([number])) for number in range(4)))
        going_on = ranges.Plan(blocks, found.held, found.parts)
        void((going_on.done_bytes, going_on.is_complete, going_on.parts, going_on.take("a")))


_SOURCE = HttpSource("http://depot.internal/edgebox")


def _http_answer(data: bytes) -> None:
    """Read status and headers of an answer, one header a line."""
    lines = data.decode("latin-1").split("\n")
    headers = CIMultiDict(line.split(":", 1) for line in lines[1:] if ":" in line)
    length = headers.get("Content-Length", "")
    response = SimpleNamespace(
        status=int(lines[0]) if lines[0].isascii() and lines[0].isdigit() and len(lines[0]) == 3 else 206,
        headers=headers,
        content_type=headers.get("Content-Type", "application/octet-stream"),
        content_length=int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None,
    )
    _SOURCE._read_answer(cast(aiohttp.ClientResponse, response), Ask("x", 5, 90))


_PLAN = plan.write_plan(
    _KNOWN, _SEALED, [1, [5]], {0: Container(1, 9, (0,), (6, 6))}, [Group(7, targets=1)], b"", [], is_by_name=False
)
_NEW_ENTRY = codec.encode(
    [None, [bytes(64)], [-1, ["c", [4, 1], "text/html"], ["d", -1, "text/css"], ["e", 0, "a/b"], -1], [], True,
     [[3, 2, 0, 2], [0, 2, -1]]]
)  # fmt: skip
_IN_PART = codec.encode(
    [{"parts": [{"id": "y"}]}, [bytes(64)], [-1, ["c", [4, 1], "text/html", 1], -1], [], False, [[3, 1]], bytes(32)]
)
_BOMB = codec.encode([None, [bytes(64)], [1, [5]], [[0, 1, 2**50, [], [2**40, 6]]], False, [[7, 1]]])
_TOO_LONG = codec.encode([None, [bytes(64)], [1, [2**63]], [], False, [[7, 1]]])
_OVERLAY = manifest.serialise(
    small_manifest(
        pack="org.example.small-fr",
        features=("overlay",),
        overlay=Overlay("org.example.small", 1, 9, 5, {"fr": "Petit"}, {}),
        languages=("fr",),
        title={"fr": "Petit"},
        lessons=(),
    )
)
_KEY_ID = KEY.verify_key.key_id.hex()
_PLACE = "packs/org.example.small/3/manifest.ebm"
_TARGETS = {
    "signatures": [],
    "signed": {
        "_type": "targets", "spec_version": "1.0.31", "version": 1, "expires": "2027-01-01T00:00:00Z",
        "edgebox_withdrawn": [_PLACE],
        "targets": {
            _PLACE: {
                "length": 9, "hashes": {"sha256": hashlib.sha256(b"").hexdigest()},
                "custom": {"signer": KEY.verify_key.raw.hex()},
            },
        },
        "delegations": {
            "keys": {
                _KEY_ID: {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": KEY.verify_key.raw.hex()}},
            },
            "roles": [
                {
                    "name": "org.example", "keyids": [_KEY_ID], "threshold": 1, "terminating": True,
                    "paths": ["packs/org.example.*/*/manifest.ebm"], "edgebox_name": "Press",
                },
            ],
        },
    },
}  # fmt: skip
_KEPT = PackList(
    bytes(32), 1, 2, (ListedPublisher("org.example", "Press", (KEY.verify_key,), 3),),
    {("org.example.small", 3): ListedPack("org.example", 9, bytes(32), KEY.verify_key)},
    frozenset({("org.example.x", 1)}),
)  # fmt: skip
_OPENED = [zipped_app(), b"\x00\x03abc\x06\x02hi", b"\x03\x0e" + bytes(14), b"%PDF-1.4\nstream\nx\x9c"]
_JOURNAL = codec.encode(
    {"target": b"t", "head_bytes": 0, "held": b"\1\0\0\0", "parts": [[1, 20]], "validators": {"hub": '"a"'}}
)
_ANSWER = file_header(blake2b_256(b"x"), 1) + b"x" + file_header(blake2b_256(b""), 0)
_RANGE = b"206\nContent-Range: bytes 5-89/100\nContent-Type: application/octet-stream\nETag: W/x"

PACK_TARGETS: tuple[Target, ...] = (
    Target("patch_head", _patch_file, [seal_head(_HEAD, KEY)]),
    Target("patch_record", _patch_record, [codec.decode(seal_head(_HEAD, KEY)[8:], max_bytes=9999)[0]]),
    Target("patch_plan", _patch_plan, [_PLAN, _NEW_ENTRY, _IN_PART, _BOMB, _TOO_LONG]),
    Target("patch_container", _containers, _OPENED),
    Target("selection", lambda data: void(selection.parse_selection(data)), [
        selection.serialise_selection(Selection(frozenset({"film", "sound"}))),
    ]),
    Target("overlay", _overlay, [_OVERLAY]),
    Target("list_record", _list_record, [json.dumps(_TARGETS).encode()]),
    Target("list_kept", _kept_list, [listing.encode_list(_KEPT)]),
    Target("offers", _offers, [
        write_index([Offered("org.example.a", 1)]), write_want(Want("org.example.a", 1, (bytes(32),), 7)),
    ]),
    Target("want_answer", _answer_of_many, [_ANSWER]),
    Target("fetch_journal", _fetch_journal, [_JOURNAL]),
    Target("http_answer", _http_answer, [_RANGE, b"200\nContent-Length: 9", b"302\nContent-Type: text/html"]),
)  # fmt: skip
