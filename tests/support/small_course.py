"""A small course in several scripts, as source and as signed pack."""

import asyncio
from pathlib import Path
from typing import Any

from content_packs.base.signing import SigningKey
from content_packs.builder import build
from content_packs.format import keyfile

PACK = "org.example.parts"

_PACK_TOML = """
id = "{pack}"
version = {version}
inLanguage = ["en", "fr", "ar", "zh-Hans"]
educationalLevel = "Primary 3"
about = "Mathematics"
teaches = ["Equal parts"]
learningResourceType = "course"
timeRequired = "PT1H"
license = "https://creativecommons.org/licenses/by/4.0/"
creator = "Example"
[title]
en = "{title}"
fr = "Des parts égales"
ar = "أجزاء متساوية"
zh-Hans = "相等的部分"
[description]
en = "A small course"
[[lesson]]
id = "{lesson}"
title.en = "Halves"
title.fr = "Les moitiés"
title.zh-Hans = "一半"
description.en = "Two equal parts"
teaches = ["Halves"]
timeRequired = "PT30M"
{reading}[[lesson.resource]]
id = "halves-quiz"
kind = "quiz"
title.en = "Try it"
description.en = "Questions"
learningResourceType = "quiz"
timeRequired = "PT5M"
path = "halves/quiz.toml"
"""
_READING = """[[lesson.resource]]
id = "halves-read"
kind = "text"
title.en = "What is a half?"
title.fr = "Qu’est-ce qu’une moitié ?"
title.ar = "ما هو النصف؟"
title.zh-Hans = "什么是一半"
description.en = "Read this first"
learningResourceType = "text"
timeRequired = "PT10M"
path.en = "halves/read.en.md"
path.zh-Hans = "halves/read.zh-Hans.md"
"""
_PART = """[[part]]
id = "chinese"
title = "Texts in Chinese"
inLanguage = ["zh-Hans"]
files = ["halves/read.zh-Hans.md"]
"""
_QUIZ = """
[[item]]
id = "q1"
type = "choice"
prompt = {en = "Which is a half?", fr = "Où est la moitié ?", ar = "أين النصف؟", zh-Hans = "哪一个是一半？"}
[[item.option]]
id = "a"
text = {en = "One of two", fr = "Une sur deux", ar = "واحد من اثنين", zh-Hans = "二分之一"}
correct = true
[[item.option]]
id = "b"
text = {en = "One of three", fr = "Une sur trois", ar = "واحد من ثلاثة", zh-Hans = "三分之一"}
"""


def build_small(
    stick: Path,
    key: SigningKey,
    *,
    pack: str = PACK,
    version: int = 1,
    title: str = "Equal parts",
    lesson: str = "halves",
    more: str = "",
    has_reading: bool = True,
    has_parts: bool = False,
) -> Path:
    """Build the course onto a stick and return the pack's folder.

    `more` is text only this build has; without reading, the lesson has a quiz only. If it has parts, the text in
    Chinese is in one, `chinese`, and changes with every version.
    """
    source = stick.parent / f"source-{pack}-{version}"
    (source / "halves").mkdir(parents=True, exist_ok=True)
    text = _PACK_TOML.format(
        pack=pack, version=version, title=title, lesson=lesson, reading=_READING if has_reading else ""
    )
    (source / "pack.toml").write_text(text + (_PART if has_parts else ""))
    (source / "halves" / "read.en.md").write_text(f"# Halves\n\nCut the pizza in two equal pieces. {more}\n")
    chinese = f"第{version}版。" * 500 if has_parts else ""
    (source / "halves" / "read.zh-Hans.md").write_text(f"# 一半\n\n把披萨分成两块。{chinese}\n")
    (source / "halves" / "quiz.toml").write_text(_QUIZ)
    return build(source, stick, key).folder


async def built(stick: Path, key: SigningKey, **options: Any) -> Path:
    """Do what `build_small` does, off the event loop."""
    return await asyncio.to_thread(build_small, stick, key, **options)


def trust(keys: Path, key: SigningKey, name: str = "Example Press") -> Path:
    """Write the publisher's public key into a box's folder of keys and return the file."""
    path = keys / "publishers" / f"{name}.pub"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(keyfile.format_public(key.verify_key, name))
    return path
