"""A small course of every kind of resource, for tests of packs and of everything that shows them."""

import os
from pathlib import Path

from content_packs import builder
from content_packs.base.signing import SigningKey, VerifyKey
from content_packs.builder import BuildResult

PUBLISHER = SigningKey(b"a publisher for tests".ljust(32, b"."))
STRANGER = SigningKey(b"somebody else".ljust(32, b"."))
TRUSTED: dict[bytes, VerifyKey] = {PUBLISHER.verify_key.key_id: PUBLISHER.verify_key}
PACK = "org.example.water"

_TOP = """
id = "{pack}"
version = {version}
inLanguage = ["en", "ar"]
educationalLevel = "Primary 5"
about = "Science"
teaches = ["The three states of water"]
learningResourceType = "course"
timeRequired = "PT1H"
license = "https://creativecommons.org/licenses/by/4.0/"
creator = "Test school"
title.en = "Water"
title.ar = "الماء"
description.en = "What water does."

[[lesson]]
id = "states"
title.en = "Three states"
title.ar = "ثلاث حالات"
teaches = ["Ice, water, steam"]
timeRequired = "PT30M"
thumbnail = "states/drop.svg"
"""
_RESOURCES = """
[[lesson.resource]]
id = "states-read"
kind = "text"
title.en = "Read"
title.ar = "اقرأ"
path.en = "states/read.en.md"
path.ar = "states/read.ar.md"

[[lesson.resource]]
id = "states-quiz"
kind = "quiz"
title.en = "Quiz"
title.ar = "اختبار"
path = "states/quiz.toml"

[[lesson.resource]]
id = "states-film"
kind = "video"
title.en = "Film"
path = "states/film.mp4"
captions.en = "states/film.en.vtt"
poster = "states/poster.png"

[[lesson]]
id = "trying"
title.en = "Trying it"

[[lesson.resource]]
id = "kettle"
kind = "app"
title.en = "The kettle"
path = "kettle/index.html"
files = ["kettle/*"]

[[lesson.resource]]
id = "sheet"
kind = "pdf"
title.en = "Work sheet"
path = "sheet.pdf"

[[lesson.resource]]
id = "sound"
kind = "audio"
title.en = "Rain"
path = "rain.mp3"

[[lesson.resource]]
id = "picture"
kind = "image"
title.en = "A drop"
path = "states/drop.svg"
"""
_QUIZ = """
[[item]]
id = "q1"
type = "choice"
prompt.en = "What is ice?"
prompt.ar = "ما هو الجليد؟"
image = "drop.svg"
image_alt.en = "A drop"
image_alt.ar = "قطرة"
[[item.option]]
id = "a"
text.en = "Solid water"
text.ar = "ماء صلب"
correct = true
feedback.en = "Yes!"
feedback.ar = "نعم!"
[[item.option]]
id = "b"
text = "H2O2"

[[item]]
id = "q2"
type = "number"
prompt = "2 + 2 = ?"
answer = 4
"""
_READ = """# Ice

Water can be *hard*.

![A drop](drop.svg)

| a | b |
| --- | ---: |
| 1 | 2 |
"""
_CAPTIONS = """WEBVTT

1
00:00.000 --> 00:02.000
Water <i>boils</i>.

NOTE unseen

00:02.000 --> 00:03.000
Steam!
"""
_PAGE = """<!doctype html>
<title>Kettle</title>
<link rel="stylesheet" href="app.css">
<script src="app.js"></script>
"""
_FILES: dict[str, bytes] = {
    "states/read.en.md": _READ.encode(),
    "states/read.ar.md": "# جليد\n\nالماء قد يكون **صلبًا**.\n".encode(),
    "states/drop.svg": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle r="4"/></svg>\n',
    "states/poster.png": b"\x89PNG\r\n\x1a\n" + bytes(range(64)),
    "states/film.en.vtt": _CAPTIONS.encode(),
    "states/quiz.toml": _QUIZ.encode(),
    "kettle/index.html": _PAGE.encode(),
    "kettle/app.js": b'parent.postMessage({edgebox: 1, type: "ready"}, "*");\n',
    "kettle/app.css": b"body { margin: 0 }\n",
    "sheet.pdf": b"%PDF-1.4\n% a sheet\n",
    "rain.mp3": b"ID3" + bytes(100),
}


def write_course(
    folder: Path,
    *,
    version: int = 1,
    pack: str = PACK,
    film_bytes: int = 3000,
    more_top: str = "",
    more_resources: str = "",
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write the source of a course into `folder` and return it.

    Args:
        version: also stands in the English text, so that versions share most files but not all.
        film_bytes: size of the largest file.
        more_top: TOML lines for the top of `pack.toml`.
        more_resources: TOML for the end of `pack.toml`.
        files: further files, or other content for those there are.
    """
    contents = _FILES | {"states/film.mp4": _film(film_bytes)}
    contents["states/read.en.md"] += f"\nVersion {version}.\n".encode()
    contents["pack.toml"] = (more_top + _TOP.format(pack=pack, version=version) + _RESOURCES + more_resources).encode()
    for name, content in (contents | (files or {})).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def build_course(
    folder: Path, *, version: int = 1, pack: str = PACK, film_bytes: int = 3000, key: SigningKey = PUBLISHER
) -> BuildResult:
    """Write the small course and build it on a stick: `folder/stick`."""
    source = write_course(folder / f"source-{pack}-{version}", version=version, pack=pack, film_bytes=film_bytes)
    return builder.build(source, folder / "stick", key)


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """Return the content of every file under `folder` by its relative path."""
    paths = [Path(top) / name for top, _, names in os.walk(folder) for name in names]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def _film(size_bytes: int) -> bytes:
    """Return bytes that begin like MP4 and nowhere repeat a block, so that a misplaced part is noticed."""
    words = b"".join(number.to_bytes(8, "big") for number in range(size_bytes // 8 + 1))
    return (b"\0\0\0\x18ftypisom" + words)[:size_bytes]
