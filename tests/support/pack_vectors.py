"""The test vectors of docs/pack-format.md: `python -m tests.support.pack_vectors > docs/vectors/pack-v1.json`."""

import json
import sys
from dataclasses import replace
from typing import Any

from content_packs.base import codec
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format import envelope
from content_packs.format import manifest as manifests
from content_packs.format.manifest import (
    Accessibility,
    Credits,
    FileEntry,
    Lesson,
    Manifest,
    Overlay,
    Part,
    Prerequisite,
    Resource,
    Variant,
)

SEED = bytes(range(32))
KEY = SigningKey(SEED)
STRANGER = SigningKey(bytes(32))
CONTENTS = {
    "film.360p.mp4": b"small",
    "film.ar.mp4": b"film in Arabic",
    "film.en.mp4": b"film in English",
    "film.en.vtt": b"WEBVTT\n",
    "film.jpg": b"poster",
    "read.en.html": b"<p>Ice</p>\n",
    "read.en.opus": b"sound",
}
_TYPES = {"mp4": "video/mp4", "vtt": "text/vtt", "jpg": "image/jpeg", "html": "text/html", "opus": "audio/ogg"}
_PART_OF = {"film.ar.mp4": 1, "film.en.mp4": 2}


def plain() -> Manifest:
    """Return a manifest without anything that may be absent."""
    return Manifest(
        pack="org.example.plain",
        version=1,
        title={"en": "Plain"},
        description={},
        languages=("en",),
        license="CC0-1.0",
        files=_entries("read.en.html"),
        lessons=(Lesson("one", {"en": "One"}, {}, ("read",)),),
        resources=(Resource("read", "text", {"en": "Read"}, {}, {"en": "read.en.html"}),),
    )


def with_everything() -> Manifest:
    """Return a manifest with every key, and with parts."""
    return replace(
        plain(),
        pack="org.example.whole",
        version=7,
        title={"en": "Water", "ar": "الماء"},
        languages=("en", "ar"),
        files=_entries(*CONTENTS),
        lessons=(Lesson("one", {"en": "One"}, {}, ("film", "read"), thumbnail="film.jpg"),),
        resources=(_film(), _read()),
        features=("parts",),
        released_ms=1_700_000_000_000,
        accessibility=Accessibility(("auditory", "visual"), ("captions",), ("noFlashingHazard",)),
        credits=Credits("1.5", "hours"),
        prerequisites=(Prerequisite({"en": "Counting to 100"}), Prerequisite({"en": "Heat"}, "org.example.heat")),
        educational_roles=("student",),
        age_range="8-10",
        parts=(
            Part("film-ar", {"en": "Film in Arabic"}, languages=("ar",), quality="720p"),
            Part("film-en", {"en": "Film in English"}, languages=("en",), educational_level="Primary 5"),
        ),
    )


def overlay() -> Manifest:
    """Return an overlay that adds French to the pack with everything."""
    entry = FileEntry("film.fr.vtt", 7, blake2b_256(b"WEBVTT\n"), "text/vtt")
    film = Resource("film", "video", {"fr": "Le film"}, {}, {}, {"fr": "film.fr.vtt"}, text={"fr": "glace"})
    return replace(
        plain(),
        pack="org.example.whole-fr",
        title={"en": "Water: French"},
        languages=("fr",),
        files=(entry,),
        lessons=(Lesson("one", {"fr": "Un"}, {}, ()),),
        resources=(film,),
        features=("overlay",),
        overlay=Overlay("org.example.whole", 5, 9, 10, {"fr": "L'eau"}, {}),
    )


def vectors() -> dict[str, Any]:
    """Return the vectors: what is read, with its bytes, and what is refused, with the code."""
    return {
        "seed": SEED.hex(),
        "accepted": [_accepted(name, make()) for name, make in _ACCEPTED.items()],
        "refused": [{"name": name, "envelope": data.hex(), "code": code} for name, code, data in _refused()],
    }


_ACCEPTED = {"plain": plain, "with everything": with_everything, "overlay": overlay}


def _accepted(name: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": name,
        "signed": manifests.serialise(manifest).hex(),
        "root": manifest.root.hex(),
        "envelope": envelope.seal_envelope(manifest, [KEY]).hex(),
    }


def _refused() -> list[tuple[str, str, bytes]]:
    whole, over = with_everything(), overlay()
    unsigned = codec.encode({"format": 1, "signatures": [], "signed": manifests.serialise(whole)})
    return [
        ("no signature", "pack.unsigned", unsigned),
        ("a stranger's signature", "pack.signer_unknown", envelope.seal_envelope(whole, [STRANGER])),
        ("changed after signing", "pack.signature_invalid", _flipped(envelope.seal_envelope(whole, [KEY]))),
        ("a later format", "pack.format_unsupported", _changed(whole, format=2)),
        ("an unknown feature", "pack.format_unsupported", _changed(whole, features=["holograms", "parts"])),
        ("parts without their feature", "pack.manifest_malformed", _changed(whole, features=[])),
        ("the feature without parts", "pack.manifest_malformed", _changed(plain(), features=["parts"])),
        ("a part that does not exist", "pack.manifest_malformed", _with_part(whole, "film.en.mp4", 3)),
        ("a part numbered 0", "pack.manifest_malformed", _with_part(whole, "film.en.mp4", 0)),
        ("a poster that may be left out", "pack.manifest_malformed", _with_part(whole, "film.jpg", 1)),
        ("an empty optional list", "pack.manifest_malformed", _changed(plain(), accessMode=[])),
        ("no credit", "pack.manifest_malformed", _changed(plain(), numberOfCredits={"value": "0", "unitText": "h"})),
        ("ages upside down", "pack.manifest_malformed", _changed(plain(), typicalAgeRange="10-8")),
        ("an overlay without its feature", "pack.manifest_malformed", _changed(over, features=[])),
        ("an overlay that puts resources into lessons", "pack.manifest_malformed", _in_lesson(over)),
        ("a script in an overlay", "pack.overlay_script", _with_script(over)),
        ("a path that leads out", "pack.path_refused", _with_path(plain(), "../read.html")),
        ("another root", "pack.manifest_malformed", _changed(whole, root=bytes(32))),
    ]


def _entries(*paths: str) -> tuple[FileEntry, ...]:
    return tuple(
        FileEntry(
            path, len(CONTENTS[path]), blake2b_256(CONTENTS[path]), _TYPES[path.rsplit(".")[-1]], _PART_OF.get(path, 0)
        )
        for path in sorted(paths)
    )


def _film() -> Resource:
    return Resource(
        "film",
        "video",
        {"en": "Film"},
        {},
        {"en": "film.en.mp4", "ar": "film.ar.mp4"},
        {"en": "film.en.vtt"},
        poster="film.jpg",
        variants=(Variant("360p", {"und": "film.360p.mp4"}),),
        accessibility=Accessibility(("auditory",), ("captions",), ("none",)),
        educational_level="Primary 5",
        languages=("en", "ar"),
    )


def _read() -> Resource:
    return Resource("read", "text", {"en": "Read"}, {}, {"en": "read.en.html"}, narration={"en": "read.en.opus"})


def _record(manifest: Manifest) -> dict[str, Any]:
    record: dict[str, Any] = codec.decode(manifests.serialise(manifest), max_bytes=10**6)
    return record


def _sealed(record: dict[str, Any]) -> bytes:
    signed = codec.encode(record)
    signature = [KEY.verify_key.key_id, KEY.sign(envelope.DOMAIN, signed)]
    return codec.encode({"format": 1, "signatures": [signature], "signed": signed})


def _changed(manifest: Manifest, **changes: Any) -> bytes:
    return _sealed(_record(manifest) | changes)


def _with_part(manifest: Manifest, path: str, part: int) -> bytes:
    files = [[*entry[:4], part] if entry[0] == path else entry for entry in _record(manifest)["files"]]
    return _changed(manifest, files=files)


def _with_path(manifest: Manifest, path: str) -> bytes:
    return _changed(manifest, files=[[path, *entry[1:]] for entry in _record(manifest)["files"]])


def _in_lesson(manifest: Manifest) -> bytes:
    return _changed(manifest, lessons=[_record(manifest)["lessons"][0] | {"resources": ["film"]}])


def _with_script(manifest: Manifest) -> bytes:
    script = FileEntry("run.js", 1, blake2b_256(b"x"), "text/javascript")
    film = replace(manifest.resources[0], files=("run.js",))
    return _sealed(_record(replace(manifest, files=(*manifest.files, script), resources=(film,))))


def _flipped(data: bytes) -> bytes:
    at = data.index(b"Primary 5")
    return data[:at] + b"P" + bytes([data[at + 1] ^ 1]) + data[at + 2 :]


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
