"""A second reader, written from docs/pack-format.md alone, opens what the builder makes; it shares no code with it."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgpack
import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from content_packs import builder, installer
from content_packs.base import signing
from content_packs.base.errors import all_error_classes
from content_packs.format import manifest as manifests
from content_packs.format.merging import Layer, merge
from tests.content_packs.test_parts import build_parts
from tests.support.course import PACK, PUBLISHER, STRANGER, TRUSTED, build_course, write_course
from tests.support.overlay import OVERLAY, write_overlay

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
    there = files_with(manifest, parts_in(folder, manifest))
    contents = {path: read_blob(folder, size, name) for path, size, name, *_ in manifest["files"] if path in there}
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


def parts_in(folder: Path, manifest: dict[str, Any]) -> set[str]:
    """Return the ids of the parts that a folder says it holds."""
    place = folder / "parts.ebs"
    if not place.exists():
        return {part["id"] for part in manifest.get("parts", [])}
    listed = msgpack.unpackb(place.read_bytes())
    assert canonical(listed) == place.read_bytes()
    assert listed["format"] == 1
    return set(listed["parts"])


def lay_over(base: dict[str, Any], overlays: list[tuple[dict[str, Any], bool]]) -> dict[str, dict[str, Any]]:
    """Return titles, paths and captions of resources under overlays; each says whether the pack's own key signed it."""
    names = ("title", "paths", "captions")
    shown = {one["id"]: {name: dict(one[name]) for name in names} for one in base["resources"]}
    own = {one["id"]: one for one in base["resources"]}
    for is_own, _priority, _pack, over in sorted(
        ((is_own, over["overlay"]["priority"], over["pack"], over) for over, is_own in overlays),
        key=lambda one: one[:3],
    ):
        low, high = over["overlay"]["versions"]
        if over["overlay"]["of"] == base["pack"] and low <= base["version"] <= high:
            for one in over["resources"]:
                if one["kind"] == own.get(one["id"], {"kind": ""})["kind"]:
                    for name in names:
                        shown[one["id"]][name] |= added(over, one, name, own[one["id"]], is_own)
    return shown


def added(over: dict[str, Any], one: dict[str, Any], name: str, below: dict[str, Any], is_own: bool) -> dict[str, str]:
    """Return what one resource of an overlay may put in the place of what lies below."""
    if not is_own and one["kind"] == "app" and name != "title":
        return {}
    mark = "" if name == "title" else f"{over['pack']}@{over['version']}:"
    return {
        language: mark + text
        for language, text in one[name].items()
        if is_own or (language not in below[name] and (name, language) != ("paths", "und"))
    }


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


def test_second_reader_opens_a_folder_with_some_parts(tmp_path: Path) -> None:
    folder = build_parts(tmp_path).folder
    manifest, contents = read_pack(folder, PUBLISHER.verify_key.raw)
    film = next(entry for entry in manifest["files"] if entry[0] == "states/film.mp4")
    (folder / "blobs" / film[2].hex()[:2] / film[2].hex()).unlink()
    (folder / "parts.ebs").write_bytes(canonical({"format": 1, "parts": ["arabic"]}))
    assert installer.verify(folder, TRUSTED).is_good
    _, some = read_pack(folder, PUBLISHER.verify_key.raw)
    assert set(contents) - set(some) == {"states/film.mp4"}


@pytest.mark.parametrize("key", [PUBLISHER, STRANGER])
def test_second_reader_lays_an_overlay_as_the_box_does(tmp_path: Path, key: signing.SigningKey) -> None:
    course = build_course(tmp_path)
    text = OVERLAY.replace('title = "Lire"', 'title.fr = "Lire"\ntitle.en = "Another title"')
    text = text.replace('inLanguage = ["fr"]', 'inLanguage = ["fr", "en"]')
    laid = builder.build(write_overlay(tmp_path / "overlay", text), tmp_path / "stick", key)
    base, _ = read_pack(course.folder, PUBLISHER.verify_key.raw)
    over, contents = read_pack(laid.folder, key.verify_key.raw)
    assert set(contents) == {"read.fr.html", "film.fr.vtt"}
    layer = Layer(laid.manifest, key.verify_key.key_id, frozenset(contents))
    there = frozenset(entry.path for entry in course.manifest.files)
    shown = merge(course.manifest, PUBLISHER.verify_key.key_id, there, [layer])
    assert lay_over(base, [(over, key is PUBLISHER)]) == {
        one.id: {"title": one.title, "paths": one.paths, "captions": one.captions} for one in shown.resources
    }


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
