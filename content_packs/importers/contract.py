"""What every importer of a foreign format promises (docs/architecture.md, Importers).

An importer only reads. It is run in a child process that can do nothing else, so it holds no rule on trust and writes
nothing: who called it decides where the files go, under names it has checked again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import BinaryIO, Protocol

from content_packs.importers.archive import Archive

HEAD_BYTES = 64


class Sureness(IntEnum):
    """How sure an importer is that a file is in its format; the surest one gets it."""

    NO = 0
    MAYBE = 1
    SURE = 2


class Source:
    """The file somebody brought. It is read in any order, and never written.

    Attributes:
        head: its first 64 bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.seek(0)
        self.head = file.read(HEAD_BYTES)

    @property
    def is_zip(self) -> bool:
        """Return whether it begins like a ZIP file."""
        return self.head.startswith((b"PK\x03\x04", b"PK\x05\x06"))

    @cached_property
    def archive(self) -> Archive:
        """Return it as an archive whose structure is safe.

        Raises:
            One of the errors of `content_packs.importers.errors`.
        """
        return Archive(self.file)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something of the file that will not work or was left out; `reason` is a message id."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Course:
    """What the file says of itself; every text may be empty and is not yet checked for length or marks.

    Attributes:
        identity: what tells it from every other course, where its format has such a name.
    """

    title: str
    language: str
    license: str
    remarks: tuple[Remark, ...] = ()
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the course.

    Attributes:
        path: where it stands in the course; its folders are the tree.
        kind: of the resource it opens (a kind of the pack format), empty for a file that others need.
        language, license: empty where they are those of the course.
        resource: id of the resource, empty where its place among the others makes one.
    """

    path: str
    media_type: str
    size_bytes: int
    kind: str = ""
    title: str = ""
    language: str = ""
    license: str = ""
    resource: str = ""


class Importer(Protocol):
    """One foreign format.

    Attributes:
        name: short, as in `import.unsupported`.
    """

    name: str

    def probe(self, source: Source) -> Sureness:
        """Return how sure it is; cheap: it reads the list of an archive and a few small files.

        Raises:
            One of the errors of `content_packs.importers.errors`: the file is refused, whoever could read it.
        """

    def course(self, source: Source) -> Course:
        """Return what the whole is. Raises like `probe`, and SourceInvalid for what its author has to correct."""

    def items(self, source: Source) -> Iterator[Item]:
        """Yield every file once, in the order of paths; at least one has a kind. Raises like `course`."""

    def open(self, source: Source, item: Item) -> Iterator[bytes]:
        """Yield the content of an item, as many bytes as it states; the same every time. Raises like `course`."""
