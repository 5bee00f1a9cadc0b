"""A small overlay over the small course: a text, subtitles and titles in French."""

from pathlib import Path

OVERLAY = """id = "org.example.water-fr"
version = 1
inLanguage = ["fr"]
license = "CC0-1.0"
title = "L'eau, en français"

[overlay]
of = "org.example.water"
versions = [1, 3]
priority = 10
title = "L'eau"

[[lesson]]
id = "states"
title = "Trois états"

[[lesson.resource]]
id = "states-read"
kind = "text"
title = "Lire"
path.fr = "read.fr.md"

[[lesson.resource]]
id = "states-film"
kind = "video"
captions.fr = "film.fr.vtt"
"""
_OVERLAY_FILES = {"read.fr.md": b"# Glace\n", "film.fr.vtt": b"WEBVTT\n\n00:00.000 --> 00:02.000\nL'eau bout.\n"}


def write_overlay(folder: Path, text: str = OVERLAY) -> Path:
    folder.mkdir(parents=True)
    for name, content in (_OVERLAY_FILES | {"pack.toml": text.encode()}).items():
        (folder / name).write_bytes(content)
    return folder
