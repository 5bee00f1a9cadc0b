"""A second reader, written from docs/pack-format.md alone, applies what is made; it shares no code with it."""

import zlib
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgpack
import zstandard
from nacl.signing import VerifyKey

from content_packs.base.errors import all_error_classes
from content_packs.base.signing import SigningKey
from content_packs.patch.making import make_patch
from tests.content_packs.patch.test_apply import PAGE
from tests.content_packs.patch.test_containers import epub, mp4, pdf
from tests.content_packs.patch.test_patch_parts import NEW, NEW_PARTS, OLD, OLD_PARTS
from tests.content_packs.test_format_reader import PAGE as DOCUMENT
from tests.content_packs.test_format_reader import canonical, digest, read_pack, root_of
from tests.support.course import PUBLISHER
from tests.support.trees import write_tree

REST = ("files", "root", "pack", "version")


def frame(packed: bytes, base: bytes) -> bytes:
    known = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if len(base) >= 8 else None
    reader = zstandard.ZstdDecompressor(known, max_window_size=2**27, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    return reader.decompressobj().decompress(packed)


def apply(data: bytes, public_key: bytes, old: dict[str, Any], blobs: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the new envelope, and add the new contents to `blobs`."""
    assert data[:4] == b"EBP\x01"
    end = 8 + int.from_bytes(data[4:8], "big")
    signed, key_id, signature = msgpack.unpackb(data[8:end])
    assert key_id == digest(public_key)[:16]
    VerifyKey(public_key).verify(b"edgebox pack patch v1\0" + signed, signature)
    form, features, pack, from_root, _, to_root, version, _, plan_bytes, body_bytes, log, hashes = msgpack.unpackb(
        signed
    )
    body = data[end:]
    assert (form, len(body)) == (1, body_bytes)
    assert hashes == b"".join(digest(body[at : at + 2**log]) for at in range(0, len(body), 2**log))
    assert old.get("root", bytes(32))[:16] == from_root
    rest = {key: value for key, value in old.items() if key not in REST}
    packed = frame(body[:plan_bytes], canonical(rest) if old else b"")
    told, signatures, steps, boxes, by_name, groups, *hashes = msgpack.unpackb(packed, strict_map_key=False)
    entries, targets = files(old.get("files", []), steps)
    rows = {one[0]: row_of(one[0], entries) for one in targets}
    order = sorted(targets, key=lambda one: (one[2].rpartition("/")[2], one[2])) if by_name else targets
    order = sorted(order, key=lambda one: rows[one[0]])
    made = contents(body[plan_bytes:], groups, order, {box[0]: box for box in boxes}, old, blobs)
    optional = [digest(made[one[0]]) for one in targets if rows[one[0]]]
    assert (features, hashes) == ((["parts"], [b"".join(optional)]) if optional else ([], []))
    blobs.update({digest(content): content for content in made.values()})
    listed = [[*one[:2], digest(made[one[2]]) if isinstance(one[2], int) else one[2], *one[3:]] for one in entries]
    root = root_of(listed)
    assert root[:16] == to_root
    manifest = {**(rest if told is None else told), "files": listed, "root": root, "pack": pack, "version": version}
    pairs = [[one[:-64] or key_id, one[-64:]] for one in signatures]
    return {"format": 1, "signed": canonical(manifest), "signatures": pairs}


def files(old: list[Any], steps: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the entries, with numbers of targets for hashes, and targets as number, size, path, base."""
    at = 0
    entries: list[Any] = []
    targets: list[Any] = []

    def target(path: str, size: int, base: int, more: list[Any]) -> None:
        targets.append([len(targets), size, path, base])
        entries.append([path, size, len(targets) - 1, *more])

    for step in steps:
        if isinstance(step, int):
            entries += old[at : at + step] if step > 0 else []
            at += abs(step)
        elif isinstance(step[0], int):
            for growth in step:
                target(old[at][0], old[at][1] + growth, at, old[at][3:])
                at += 1
        elif isinstance(step[1], list):
            target(step[0], *step[1], step[2:])
        else:
            same = [old[step[1]][1], old[step[1]][2]] if step[1] >= 0 else [targets[-1 - step[1]][1], -1 - step[1]]
            entries.append([step[0], *same, *step[2:]])
    assert at == len(old)
    return entries, targets


def row_of(target: int, entries: list[Any]) -> list[int]:
    """Return the numbers of the parts a target is in; nothing when everybody needs it."""
    found = [one[4:] for one in entries if one[2] == target]
    return sorted({one[0] for one in found}) if all(found) else []


def contents(
    body: bytes,
    groups: list[Any],
    order: list[Any],
    boxes: dict[int, Any],
    old: dict[str, Any],
    blobs: dict[bytes, bytes],
) -> dict[int, bytes]:
    """Return the content of every target by its number; containers of kind 1 and 2 are not opened here."""
    made: dict[int, bytes] = {}
    at = place = base_at = 0
    part = b""
    for group in groups:
        packed, at = body[at : at + group[0]], at + group[0]
        chosen = order[place : place + (group[1] if len(group) == 2 else 1)]
        bases = [base_of(one, boxes.get(one[0]), old, blobs) for one in chosen]
        sizes = [boxes[one[0]][2] if one[0] in boxes else one[1] for one in chosen]
        if len(group) == 2:
            content = frame(packed, b"".join(dict.fromkeys(bases))) if packed else b""
            ends = list(accumulate(sizes, initial=0))
            for one, start, end in zip(chosen, ends, ends[1:], strict=False):
                made[one[0]] = content[start:end]
            place, base_at = place + len(chosen), 0
        else:
            start = base_at + group[2]
            base_at = start + (group[3] if len(group) == 4 else group[1])
            known = bases[0][start:base_at]
            part += frame(packed, known) if packed else known
            if len(part) == sizes[0]:
                made[chosen[0][0]], part, place = part, b"", place + 1
    return {number: closed(content, boxes[number]) if number in boxes else content for number, content in made.items()}


def base_of(target: list[Any], box: list[Any] | None, old: dict[str, Any], blobs: dict[bytes, bytes]) -> bytes:
    base = blobs[old["files"][target[3]][2]] if target[3] >= 0 else b""
    return opened_pdf(base, box[3]) if box else base


def opened_pdf(data: bytes, left: list[int]) -> bytes:
    out, at, number, search = b"", 0, 0, 0
    while (found := data.find(b"stream\n", search)) >= 0:
        search = start = found + 7
        if data[found - 3 : found] == b"end":
            continue
        reader = zlib.decompressobj()
        content = reader.decompress(data[start:])
        assert reader.eof
        end = len(data) - len(reader.unused_data)
        if number not in left:
            out += piece(0, data[at:start]) + piece(6, content)
            at = end
        number, search = number + 1, end
    return out + piece(0, data[at:])


def piece(tag: int, content: bytes) -> bytes:
    length, out = len(content), b""
    while length > 127:
        out += bytes([length & 127 | 128])
        length >>= 7
    return bytes([tag]) + out + bytes([length]) + content


def closed(data: bytes, box: list[Any]) -> bytes:
    assert box[1] == 2
    parameters = [value for count, value in zip(box[4][::2], box[4][1::2], strict=True) for _ in range(count)]
    out, at = b"", 0
    while at < len(data):
        tag, length, shift, at = data[at], 0, 0, at + 1
        while data[at] > 127:
            length |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
        length |= data[at] << shift
        content, at = data[at + 1 : at + 1 + length], at + 1 + length
        if tag == 6:
            number = parameters.pop(0)
            maker = zlib.compressobj(number & 15, 8, 15 - (number >> 8), ((number >> 4) + 8) % 16)
            content = maker.compress(content) + maker.flush()
        out += content
    return out


def test_second_reader_applies_a_patch_and_a_full_one(tmp_path: Path) -> None:
    old = {"a.html": PAGE, "b.html": PAGE[:999], "gone": b"x", "same": b"same", "book.pdf": pdf(b"")}
    new = {
        "a.html": PAGE + b"more",
        "c.html": PAGE[:999] + b"!",
        "copy": b"same",
        "same": b"same",
        "book.pdf": pdf(b"new"),
    }
    first, second = write_tree(tmp_path / "1", old), write_tree(tmp_path / "2", new, 2, title="Other")
    key = PUBLISHER.verify_key.raw
    manifest, found = read_pack(first, key)
    wanted = msgpack.unpackb((second / "manifest.ebm").read_bytes())
    for before, known in ((first, manifest), (None, {})):
        made = make_patch(before, second, tmp_path / "p.ebp", PUBLISHER).path.read_bytes()
        blobs = {digest(content): content for content in found.values()} if before else {}
        assert apply(made, key, known, blobs) == wanted
        assert all(blobs[digest(content)] == content for content in new.values())


def test_second_reader_applies_a_patch_of_a_pack_with_parts(tmp_path: Path) -> None:
    first, second = (
        write_tree(tmp_path / "1", OLD, parts=OLD_PARTS),
        write_tree(tmp_path / "2", NEW, 2, parts=NEW_PARTS),
    )
    key = PUBLISHER.verify_key.raw
    manifest, found = read_pack(first, key)
    wanted = msgpack.unpackb((second / "manifest.ebm").read_bytes())
    for before, known in ((first, manifest), (None, {})):
        made = make_patch(before, second, tmp_path / "p.ebp", PUBLISHER).path.read_bytes()
        blobs = {digest(content): content for content in found.values()} if before else {}
        assert apply(made, key, known, blobs) == wanted
        assert all(blobs[digest(content)] == content for content in NEW.values())


def test_vectors_on_the_page_are_those_that_are_made(tmp_path: Path) -> None:
    key = SigningKey(bytes(range(32)))
    first = write_tree(tmp_path / "1", {"a.txt": b"old"}, key=key)
    second = write_tree(tmp_path / "2", {"a.txt": b"new!"}, 2, key=key)
    data = make_patch(first, second, tmp_path / "p.ebp", key).path.read_bytes()
    end = 8 + int.from_bytes(data[4:8], "big")
    signed = msgpack.unpackb(msgpack.unpackb(data[8:end])[0])
    manifest, _ = read_pack(first, key.verify_key.raw)
    base = canonical({name: value for name, value in manifest.items() if name not in REST})
    plan = frame(data[end : end + signed[8]], base)
    # What the compressor makes of it may change with its version: head and plan are told up to the lengths in them.
    steps = msgpack.unpackb(plan)
    assert steps[0] is None
    assert steps[2:5] == [[[1]], [], False]
    missing = [one.hex() for one in (data[:8], signed[3], signed[5], steps[1][0]) if f"`{one.hex()}`" not in DOCUMENT]
    assert missing == []


def test_every_error_of_patches_is_on_the_page() -> None:
    for error in all_error_classes():
        if 225 <= error.exit_code <= 231:
            assert f"| {error.exit_code} | `{error.code}` |" in DOCUMENT


def test_containers_named_on_the_page_begin_as_it_says() -> None:
    assert [data[:4] for data in (epub(b""), pdf(b""))] == [b"PK\x03\x04", b"%PDF"]
    assert mp4(0)[4:8] == b"ftyp"
