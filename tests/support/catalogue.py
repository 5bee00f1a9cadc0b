"""A large catalogue made up: many packs of many resources, installed as if from sticks. Equal numbers, equal packs."""

import random
import re
from pathlib import Path

from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format import envelope, keyfile, layout
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource

KEY = SigningKey(b"a publisher of many packs".ljust(32, b"."))
SUBJECTS = ("Mathematics", "Science", "English", "Geography", "Music", "Health")
LEVELS = tuple(f"Primary {year}" for year in range(1, 7))
_TEXT = b"<p>Water boils at a hundred degrees.</p>"
_WORDS = re.findall(
    "[a-z]+",
    "water ice steam half third quarter plant animal river mountain city history music sound light energy force number "
    "letter word sentence question answer market village farm rain wind sun moon star earth body food health school",
)


def install_catalogue(data: Path, packs: int, resources: int, *, lessons: int = 12) -> None:
    """Put `packs` packs of `resources` resources each into a data folder, and trust their publisher."""
    content_hash = blake2b_256(_TEXT)
    blob = data / layout.blob_name(content_hash)
    publishers = data / "keys" / "publishers"
    for folder in (blob.parent, data / "packs", publishers):
        folder.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(_TEXT)
    (publishers / "many.pub").write_text(keyfile.format_public(KEY.verify_key, "Many Packs Press"))
    for number in range(packs):
        manifest = _manifest(number, resources, lessons, content_hash)
        path = data / "packs" / layout.installed_name(manifest.pack, manifest.version)
        path.write_bytes(envelope.seal_envelope(manifest, [KEY]))


def pack_id(number: int) -> str:
    """Return the id of one of the packs, counted from 0."""
    return f"org.example.many-{number:04}"


def _manifest(number: int, resources: int, lessons: int, content_hash: bytes) -> Manifest:
    chance = random.Random(number)
    paths = [f"{place:05}.html" for place in range(resources)]
    return Manifest(
        pack=pack_id(number),
        version=1,
        title={"en": f"{_title(chance)} {number}", "fr": f"Livre {number}"},
        description={"en": "A pack of many."},
        languages=("en", "fr") if number % 2 else ("en",),
        license="https://creativecommons.org/licenses/by/4.0/",
        files=tuple(FileEntry(path, len(_TEXT), content_hash, "text/html") for path in paths),
        lessons=tuple(
            Lesson(
                f"lesson-{lesson:02}",
                {"en": _title(chance)},
                {},
                tuple(f"r{place:05}" for place in range(lesson, resources, lessons)),
                time_required="PT20M",
            )
            for lesson in range(lessons)
        ),
        resources=tuple(_resource(chance, place, path) for place, path in enumerate(paths)),
        educational_level=LEVELS[number % len(LEVELS)],
        about=SUBJECTS[number % len(SUBJECTS)],
    )


def _resource(chance: random.Random, place: int, path: str) -> Resource:
    return Resource(
        id=f"r{place:05}",
        kind="text",
        title={"en": _title(chance)},
        description={"en": " ".join(chance.choices(_WORDS, k=10))},
        paths={"en": path},
        text={"en": " ".join(chance.choices(_WORDS, k=60))},
    )


def _title(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=4)).capitalize()
