"""The folder an author works in: which files there are, under which names, and no way out of it.

The folder is listed once. Names are compared in normal form C, because some systems store accents in another form
than an author types; links and hidden files are not part of a course.
"""

import fnmatch
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from content_packs.base.errors import N_
from content_packs.format import names, texts
from content_packs.format.errors import FileTooLarge, PackNotFound, PathRefused, SourceInvalid
from content_packs.format.manifest import FILES_MAX

PACK_FILE = "pack.toml"
TEXT_MAX_BYTES = 1024 * 1024

_LITTER = {"thumbs.db", "desktop.ini"}


class SourceTree:
    """The files of a course source by their path in normal form.

    Raises:
        PackNotFound: there is no such folder.
        SourceInvalid: there is no `pack.toml` in it.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise PackNotFound(place=str(root))
        if not (root / PACK_FILE).is_file():
            raise SourceInvalid(file=PACK_FILE, where=str(root), reason=N_("there is no such file in the folder"))
        self._files: dict[str, Path] = {}
        for count, path in enumerate(_walk(root)):
            if count == FILES_MAX:
                raise SourceInvalid(file=str(root), where=PACK_FILE, reason=N_("the folder has too many files"))
            self._add(path, path.relative_to(root).as_posix())

    def find(self, path: str, *, wanted_by: str) -> Path:
        """Return where the file `path` is.

        Raises:
            PathRefused: not a name a pack may have.
            SourceInvalid: there is no such file; `wanted_by` says who asked.
        """
        names.check_path(path)
        found = self._files.get(path)
        if found is None:
            raise SourceInvalid(file=path, where=wanted_by, reason=self._why_missing(path))
        return found

    def match(self, pattern: str, *, wanted_by: str) -> list[str]:
        """Return the paths that fit `pattern` in order; `*` stays in one folder, `**` is any number of folders.

        Raises:
            SourceInvalid: nothing fits.
        """
        parts = pattern.split("/")
        found = sorted(path for path in self._files if _fits(path.split("/"), parts))
        if not found:
            raise SourceInvalid(file=pattern, where=wanted_by, reason=N_("no file in the folder has such a name"))
        return found

    def read(self, path: str, *, wanted_by: str) -> bytes:
        """Return the content of a small file.

        Raises:
            FileTooLarge: over 1 MiB.
            PathRefused, SourceInvalid: like `find`.
        """
        place = self.find(path, wanted_by=wanted_by)
        with place.open("rb") as file:
            content = file.read(TEXT_MAX_BYTES + 1)
        if len(content) > TEXT_MAX_BYTES:
            raise FileTooLarge(file=path, size_bytes=place.stat().st_size, limit_bytes=TEXT_MAX_BYTES)
        return content

    def read_text(self, path: str, *, wanted_by: str) -> str:
        """Return the content of a small text file in plain form. Raises like `read`, and SourceInvalid if not UTF-8."""
        try:
            text = self.read(path, wanted_by=wanted_by).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceInvalid(file=path, where=wanted_by, reason=N_("the text is not stored as UTF-8")) from error
        return texts.make_plain(text)

    def _add(self, path: Path, name: str) -> None:
        normal = unicodedata.normalize("NFC", name)
        if normal in self._files:
            raise PathRefused(file=normal, reason=N_("two files have this name, with accents in different forms"))
        self._files[normal] = path

    def _why_missing(self, path: str) -> str:
        if any(known.casefold() == path.casefold() for known in self._files):
            return N_("the file in the folder has other capital letters in its name")
        return N_("there is no such file in the folder")


def join_path(base: str, address: str) -> str:
    """Return the path that the relative `address` means in the file `base`; `..` may go up inside the pack.

    Raises:
        PathRefused: it leads out of the pack.
    """
    parts: list[str] = list(PurePosixPath(base).parent.parts)
    for part in address.split("/"):
        if part == "..":
            if not parts:
                raise PathRefused(file=address, reason=N_("it points outside its folder"))
            parts.pop()
        elif part != ".":
            parts.append(part)
    return unicodedata.normalize("NFC", "/".join(parts))


def _walk(root: Path) -> Iterator[Path]:
    """Yield plain files; links, hidden names and what file managers leave behind are passed over."""
    with os.scandir(root) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith(".") or entry.name.lower() in _LITTER:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root / entry.name)
        elif entry.is_file(follow_symlinks=False):
            yield root / entry.name


def _fits(parts: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
