"""From one file to the source of a course: read in a child, checked, staged, and described in `pack.toml`."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from content_packs.base.hashing import blake2b_256
from content_packs.base.limited import LimitedChild
from content_packs.builder.source import PACK_FILE
from content_packs.format import texts
from content_packs.importers import staging
from content_packs.importers.contract import Course, Remark
from content_packs.importers.errors import ImportFailed, ImportUnsupported
from content_packs.importers.reading import File, Receiver
from content_packs.importers.zip_directory import TOTAL_MAX_BYTES

CHILD = ("-I", "-m", "content_packs.importers.child")
CHILD_SECONDS = 600.0
FILES_FOLDER = "files"
LICENSE_UNKNOWN = "not stated"

_NAME_MAX = 30

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person who imports says of the course; what is empty is taken from the file.

    Attributes:
        pack: id of the pack; when empty, `name_pack` makes it of a name that stands for the title, so that the same
            course keeps its id.
        version: of the pack by its id.
    """

    pack: str = ""
    name_pack: Callable[[str], str] = "imported.{}".format
    version: Callable[[str], int] = lambda _pack: 1
    title: str = ""
    language: str = ""
    license: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A course source that is ready for the builder, and what of the file will not work or was left out."""

    source: Path
    format: str
    pack: str
    remarks: tuple[Remark, ...]


@contextmanager
def imported(
    path: Path,
    root: Path,
    wishes: Wishes,
    on_progress: OnProgress = lambda *_: None,
    *,
    total_max_bytes: int = TOTAL_MAX_BYTES,
    child: tuple[str, ...] = CHILD,
    child_seconds: float = CHILD_SECONDS,
) -> Iterator[Imported]:
    """Read the file `path` into a staging below `root`, which is gone afterwards. Blocks.

    Args:
        on_progress: gets the bytes unpacked so far, and those there are in all.
        total_max_bytes: that may be unpacked.

    Raises:
        ImportUnsupported, ImportFailed, and the other errors of `content_packs.importers.errors`: the file is refused.
        SourceInvalid, PathRefused, FileTooLarge: it is what its author has to correct.
    """
    with staging.staging(root) as folder, path.open("rb") as file:
        source = folder / "source"
        source.mkdir()
        with LimitedChild(child, file, seconds=child_seconds) as limited:
            receiver = Receiver(limited.read, total_max_bytes=total_max_bytes)
            course = receiver.course()
            main = _write_files(receiver, source, on_progress)
            if not limited.ended_well():
                raise ImportFailed(reason="stopped")
        wishes = _completed(wishes, course, path.stem)
        staging.write(source, PACK_FILE, [_pack_file(wishes, main).encode()])
        yield Imported(source, receiver.importer, wishes.pack, course.remarks)


def _write_files(receiver: Receiver, source: Path, on_progress: OnProgress) -> list[File]:
    """Write all files, and return those that are resources."""
    main: list[File] = []
    done_bytes = 0
    for file, content in receiver.files():
        staging.write(source / FILES_FOLDER, file.path, content)
        done_bytes += file.size_bytes
        on_progress(done_bytes, receiver.total_bytes)
        if file.kind:
            main.append(file)
    if not main:
        raise ImportUnsupported(format=receiver.importer)
    return main


def _completed(wishes: Wishes, course: Course, stem: str) -> Wishes:
    """Fill what the person left out with what the file says, or with what is always right."""
    said = texts.make_plain(course.language)
    title = _line(wishes.title or course.title, texts.TITLE_MAX) or _line(stem, texts.TITLE_MAX) or "App"
    return replace(
        wishes,
        pack=wishes.pack or wishes.name_pack(_name(course.identity or title)),
        title=title,
        language=wishes.language or (said if texts.is_language(said) else texts.NEUTRAL),
        license=_line(wishes.license or course.license, texts.SHORT_MAX) or LICENSE_UNKNOWN,
    )


def _line(text: str, longest: int) -> str:
    return texts.without_isolates(" ".join(texts.make_plain(text).split()))[:longest].strip()


def _name(identity: str) -> str:
    """Return the part of an id that a name gives: its Latin letters, and digits that tell it from others."""
    ascii_only = unicodedata.normalize("NFKD", identity).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", ascii_only))[:_NAME_MAX].strip("-")
    return f"{words}-{blake2b_256(identity.encode()).hex()[:8]}".lstrip("-")


def _pack_file(wishes: Wishes, main: list[File]) -> str:
    """Return the description of a course with one lesson that has every resource."""
    lines = [
        f"id = {_quoted(wishes.pack)}",
        f"version = {wishes.version(wishes.pack)}",
        f"inLanguage = [{_quoted(wishes.language)}]",
        f"title = {_quoted(wishes.title)}",
        f"license = {_quoted(wishes.license)}",
        f"educationalLevel = {_quoted(texts.make_plain(wishes.level))}",
        "[[lesson]]",
        'id = "imported"',
        f"title = {_quoted(wishes.title)}",
    ]
    for number, file in enumerate(main, start=1):
        title = _line(file.title, texts.TITLE_MAX) or wishes.title
        lines += [
            "[[lesson.resource]]",
            f"id = {_quoted(file.resource or f'{file.kind}-{number}')}",
            f'kind = "{file.kind}"',
            f"title = {_quoted(wishes.title if len(main) == 1 else title)}",
            f"path = {_quoted(f'{FILES_FOLDER}/{file.path}')}",
        ]
        # Named once: a course of a thousand units would else list every file a thousand times.
        lines += [f'files = ["{FILES_FOLDER}/**"]'] if number == 1 else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a text as a basic string of TOML, which is written like one of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "")
