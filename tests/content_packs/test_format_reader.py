"""A second reader, written from docs/pack-format.md alone, opens what the builder makes; it shares no code with it."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgpack
import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from content_packs import builder
from content_packs.base.errors import all_error_classes
from content_packs.format import manifest as manifests
from tests.support.course import PACK, PUBLISHER, build_course, write_course

PAGE = (Path(__file__).parents[2] / "docs" / "pack-format.md").read_text("utf-8")
VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "vectors" / "pack-v1.json").read_text("utf-8"))
DOMAIN = b"edgebox pack manifest v1"


def digest(content: bytes, person: bytes = b"") -> bytes:
    return blake2b(content, digest_size=32, person=person).digest()


def canonical(value: Any) -> bytes:
    if isinstance(value, dict):
        head = msgpack.Packer().pack_map_header(len(value))
        return b"".join([head, *(canonical(key) + canonical(value[key]) for key in sorted(value, key=str.encode))])
    if isinstance(value, list):
        return b"".join([msgpack.Packer().pack_array_header(len(value)), *map(canonical, value)])
    packed: bytes = msgpack.packb(value)
    return packed


def root_of(entries: list[Any]) -> bytes:
    level = [digest(canonical(entry), b"edgebox leaf") for entry in entries]
    if not level:
        return digest(b"", b"edgebox node")
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [digest(pair[0] + pair[1], b"edgebox node") if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def read_pack(folder: Path, public_key: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest and the content of every path, or fail."""
    manifest = read_manifest((folder / "manifest.ebm").read_bytes(), public_key)
    contents = {path: read_blob(folder, size, name) for path, size, name, *_ in manifest["files"]}
    return manifest, contents


def read_manifest(data: bytes, public_key: bytes) -> dict[str, Any]:
    """Return the manifest in an envelope, or fail."""
    envelope = msgpack.unpackb(data)
    assert canonical(envelope) == data
    assert set(envelope) == {"format", "signatures", "signed"}
    assert envelope["format"] == 1
    signatures = dict(envelope["signatures"])
    VerifyKey(public_key).verify(DOMAIN + b"\0" + envelope["signed"], signatures[digest(public_key)[:16]])
    manifest: dict[str, Any] = msgpack.unpackb(envelope["signed"])
    assert canonical(manifest) == envelope["signed"]
    assert manifest["format"] == 1
    assert sorted(manifest["features"]) == sorted({"overlay", "parts"} & set(manifest))
    assert root_of(manifest["files"]) == manifest["root"]
    assert all(len(entry) == 4 or 1 <= entry[4] <= len(manifest["parts"]) for entry in manifest["files"])
    return manifest


def files_with(manifest: dict[str, Any], part_ids: set[str]) -> set[str]:
    """Return the paths that are there when these parts were taken."""
    taken = [True, *(part["id"] in part_ids for part in manifest.get("parts", []))]
    return {path for path, _size, _name, _type, *part in manifest["files"] if taken[part[0] if part else 0]}


def read_blob(folder: Path, size_bytes: int, name: bytes) -> bytes:
    place = folder / "blobs" / name.hex()[:2] / name.hex()
    parts = [place] if place.exists() else sorted(place.parent.glob(f"{name.hex()}.[0-9][0-9][0-9]"))
    content = b"".join(part.read_bytes() for part in parts)
    assert len(content) == size_bytes
    assert digest(content) == name
    return content


@pytest.mark.parametrize("part_bytes", [1024**3, 700])
def test_second_reader_opens_a_built_pack(tmp_path: Path, part_bytes: int) -> None:
    source = write_course(tmp_path / "source")
    result = builder.build(source, tmp_path / "stick", PUBLISHER, part_bytes=part_bytes)
    assert result.folder == tmp_path / "stick" / "edgebox" / "packs" / PACK / "1"
    manifest, contents = read_pack(result.folder, PUBLISHER.verify_key.raw)
    assert contents["sheet.pdf"] == (source / "sheet.pdf").read_bytes()
    assert contents["states/film.mp4"] == (source / "states" / "film.mp4").read_bytes()
    assert [item["type"] for item in json.loads(contents["states/quiz.json"])["item"]] == ["choice", "number"]
    listed = [one for lesson in manifest["lessons"] for one in lesson["resources"]]
    assert listed == [resource["id"] for resource in manifest["resources"]]


def test_second_reader_opens_every_accepted_vector() -> None:
    public_key = bytes(SigningKey(bytes.fromhex(VECTORS["seed"])).verify_key)
    for vector in VECTORS["accepted"]:
        manifest = read_manifest(bytes.fromhex(vector["envelope"]), public_key)
        assert canonical(manifest).hex() == vector["signed"]
        assert root_of(manifest["files"]).hex() == vector["root"]


def test_second_reader_knows_which_files_come_with_which_part() -> None:
    whole = next(vector for vector in VECTORS["accepted"] if vector["name"] == "with everything")
    manifest = msgpack.unpackb(bytes.fromhex(whole["signed"]))
    assert "film.ar.mp4" not in files_with(manifest, {"film-en"})
    assert files_with(manifest, {"film-en"}) - files_with(manifest, set()) == {"film.en.mp4"}


def test_every_key_of_the_vectors_is_on_the_page() -> None:
    words = set(PAGE.replace("`", " ").replace(",", " ").replace("?", " ").split())
    for vector in VECTORS["accepted"]:
        manifest = msgpack.unpackb(bytes.fromhex(vector["signed"]))
        tables = [manifest, *manifest["lessons"], *manifest["resources"], *manifest.get("parts", [])]
        assert set().union(*tables, manifest.get("overlay", {})) <= words


def test_second_reader_refuses_another_key(tmp_path: Path) -> None:
    folder = build_course(tmp_path).folder
    with pytest.raises((BadSignatureError, KeyError)):
        read_pack(folder, bytes(SigningKey(bytes(32)).verify_key))


def test_every_key_of_a_manifest_is_on_the_page(tmp_path: Path) -> None:
    manifest, _ = read_pack(build_course(tmp_path).folder, PUBLISHER.verify_key.raw)
    keys = set(manifest) | set(manifest["lessons"][0]) | set(manifest["resources"][2])
    assert keys <= set(PAGE.replace("`", " ").replace(",", " ").replace("?", " ").split())


def test_vectors_on_the_page_are_right() -> None:
    entries = [[f"{letter}.txt", 2, digest(f"{letter}\n".encode()), "text/plain"] for letter in "abc"]
    key = SigningKey(bytes(range(32)))
    vectors = [
        entries[0][2],
        canonical(entries[0]),
        *(root_of(entries[:count]) for count in range(4)),
        bytes(key.verify_key),
        digest(bytes(key.verify_key))[:16],
        key.sign(DOMAIN + b"\0" + b"signed").signature,
    ]
    missing = [vector.hex() for vector in vectors if f"`{vector.hex()}`" not in PAGE]
    assert missing == []


def test_every_pack_error_is_on_the_page_with_its_exit_code() -> None:
    for error in all_error_classes():
        if error.code.startswith("pack.") and 14 <= error.exit_code <= 29:
            assert f"| {error.exit_code} | `{error.code}` |" in PAGE
            row = next(line for line in PAGE.splitlines() if f"`{error.code}` |" in line)
            assert ("| yes |" in row) is error.retryable


def test_limits_and_kinds_on_the_page_are_those_of_the_code() -> None:
    assert (manifests.FILES_MAX, manifests.LESSONS_MAX, manifests.RESOURCES_MAX) == (200_000, 2_000, 20_000)
    assert all(f"{limit:,}" in PAGE for limit in (manifests.FILES_MAX, manifests.LESSONS_MAX, manifests.RESOURCES_MAX))
    assert all(f"`{kind}`" in PAGE for kind in manifests.KINDS)
