"""Where the records of a depot come from: one small protocol, so that a stick and a line are read by the same code."""

from pathlib import Path
from typing import Protocol

from content_packs.trust.errors import ListBroken, ListTooLarge
from content_packs.usb.stick import NotPlain, StickFolder


class NotThere(Exception):
    """The place has no file of this name; not an error by itself, the next root is asked for until there is none."""


class DepotReader(Protocol):
    """Reads small files of a depot by their names, such as `metadata/timestamp.json`."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a whole file. Blocks.

        Raises:
            NotThere: there is no such file; said only by who knows, never because of a line that is down.
            ListTooLarge: it has more than `max_bytes`; no more than those and one piece were read.
            EdgeboxError: it cannot be read now, such as StickGone; passed on as it is.
        """


class FolderReader:
    """A depot in a folder, such as `edgebox` on a stick; links are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a whole file.

        Raises:
            NotThere, ListTooLarge: like `DepotReader`.
            ListBroken: it may not be read here; the rest of the stick may well be.
            StickGone: the stick does not answer.
        """
        try:
            with StickFolder(self._folder) as folder:
                content = b"".join(folder.read(name, max_bytes + 1))
        except (FileNotFoundError, NotADirectoryError, NotPlain) as error:
            raise NotThere(name) from error
        except PermissionError as error:
            raise ListBroken(role=name) from error
        if len(content) > max_bytes:
            raise ListTooLarge(name=name)
        return content
