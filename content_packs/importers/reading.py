"""Reading a file with the importer that is surest of it, and telling what it has as a stream of checked messages.

The reader runs in the child, `Receiver` in the process that asked. A message is one canonical msgpack value behind its
length: `["course", ...]` first, then for every file `["file", path, size]` and its `["bytes", ...]`, then `["end"]`; or
`["error", code, fields]` at any time, which is the last. The child may have been taken over by the file, so nothing in
a message is believed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Any

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError, all_error_classes
from content_packs.format import names
from content_packs.format.errors import FileTooLarge, PathRefused, SourceInvalid
from content_packs.format.fields import is_id
from content_packs.format.manifest import FILES_MAX, KINDS
from content_packs.importers import cmi5_errors
from content_packs.importers.contract import Course, Importer, Remark, Source, Sureness
from content_packs.importers.errors import ArchiveTooLarge, ImportFailed, ImportUnsupported
from content_packs.importers.formats import recognise
from content_packs.importers.zip_directory import TOTAL_MAX_BYTES

MESSAGE_MAX_BYTES = 1024**2
REMARKS_MAX = 200
TEXT_MAX = 4000
LENGTH_BYTES = 4

_ERROR_AREAS = ("import.", "archive.", cmi5_errors.AREA)
_OTHER_ERRORS = {PathRefused.code, SourceInvalid.code, FileTooLarge.code}


def choose(source: Source, importers: tuple[Importer, ...]) -> Importer:
    """Return the importer that is surest of the file.

    Raises:
        ImportUnsupported: none is; it names the format as far as it is known.
        One of the other errors of `content_packs.importers.errors`.
    """
    sureness, found = max(((one.probe(source), one) for one in importers), key=lambda pair: pair[0])
    if sureness is Sureness.NO:
        raise ImportUnsupported(format=recognise(source))
    return found


def tell(source: Source, importers: tuple[Importer, ...]) -> Iterator[bytes]:
    """Yield the messages about a file; what is wrong with it is one of them."""
    try:
        yield from map(_message, _told(source, importers))
    except EdgeboxError as error:
        yield _message(["error", error.code, error.fields])


def _told(source: Source, importers: tuple[Importer, ...]) -> Iterator[list[Any]]:
    importer = choose(source, importers)
    course = importer.course(source)
    remarks = [[remark.file, remark.reason] for remark in course.remarks[:REMARKS_MAX]]
    texts = [text[:TEXT_MAX] for text in (course.title, course.language, course.license, course.identity)]
    total_bytes = sum(item.size_bytes for item in importer.items(source))
    yield ["course", importer.name, *texts, remarks, total_bytes]
    for item in importer.items(source):
        yield ["file", names.check_path(item.path), item.size_bytes, item.kind, item.title[:TEXT_MAX], item.resource]
        for chunk in importer.open(source, item):
            for start in range(0, len(chunk), MESSAGE_MAX_BYTES // 2):
                yield ["bytes", chunk[start : start + MESSAGE_MAX_BYTES // 2]]
    yield ["end"]


def _message(value: list[Any]) -> bytes:
    encoded = codec.encode(value)
    return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


@dataclass(frozen=True, slots=True)
class File:
    """A file that is about to come."""

    path: str
    size_bytes: int
    kind: str
    title: str
    resource: str


class Receiver:
    """Reads messages and believes none of them.

    Args:
        read: returns so many bytes, fewer only at the end.
        total_max_bytes: of all files together.

    Attributes:
        importer, total_bytes: short name of the format and size of what comes, once the course was read.
    """

    def __init__(self, read: Callable[[int], bytes], *, total_max_bytes: int = TOTAL_MAX_BYTES) -> None:
        self._read = read
        self._total_max_bytes = total_max_bytes
        self._announced_bytes = 0
        self._paths: list[str] = []
        self.importer = ""
        self.total_bytes = 0

    def course(self) -> Course:
        """Return the first message.

        Raises:
            The error that the child tells of; ImportFailed when it ended, or says something that makes no sense.
        """
        kind, values = self._take()
        if kind != "course" or [type(value) for value in values] != [str, str, str, str, str, list, int]:
            raise _nonsense()
        name, title, language, license_, identity, remarks, total_bytes = values
        if max(map(len, values[:5])) > TEXT_MAX or len(remarks) > REMARKS_MAX or not all(map(_is_remark, remarks)):
            raise _nonsense()
        if total_bytes > self._total_max_bytes:
            raise ArchiveTooLarge(size_bytes=total_bytes, limit_bytes=self._total_max_bytes)
        self.importer, self.total_bytes = name, total_bytes
        return Course(title, language, license_, tuple(Remark(*remark) for remark in remarks), identity)

    def files(self) -> Iterator[tuple[File, Iterator[bytes]]]:
        """Yield every file with its content, which has to be read to its end before the next one. Raises like `course`.

        The whole is right only if this ends without an error.
        """
        kind, values = self._take()
        while kind == "file":
            file = self._file(values)
            yield file, self._content(file)
            kind, values = self._take()
        if kind != "end" or values or self._read(1):
            raise _nonsense()
        names.check_distinct(self._paths)

    def _file(self, values: list[Any]) -> File:
        if [type(value) for value in values] != [str, int, str, str, str]:
            raise _nonsense()
        file = File(*values)
        self._announced_bytes += file.size_bytes
        if (
            file.size_bytes < 0
            or self._announced_bytes > self.total_bytes
            or len(self._paths) == FILES_MAX
            or len(file.title) > TEXT_MAX
        ):
            raise _nonsense()
        if (file.kind and file.kind not in KINDS) or (file.resource and not is_id(file.resource)):
            raise _nonsense()
        self._paths.append(names.check_path(file.path))
        return file

    def _content(self, file: File) -> Iterator[bytes]:
        left_bytes = file.size_bytes
        while left_bytes > 0:
            kind, values = self._take()
            if kind != "bytes" or [type(value) for value in values] != [bytes] or not 0 < len(values[0]) <= left_bytes:
                raise _nonsense()
            left_bytes -= len(values[0])
            yield values[0]

    def _take(self) -> tuple[str, list[Any]]:
        length = int.from_bytes(self._exactly(LENGTH_BYTES), "big")
        if length > MESSAGE_MAX_BYTES:
            raise _nonsense()
        try:
            value = codec.decode(self._exactly(length), max_bytes=MESSAGE_MAX_BYTES)
        except codec.CodecMalformed as error:
            raise _nonsense() from error
        if not isinstance(value, list) or not value or not isinstance(value[0], str):
            raise _nonsense()
        if value[0] == "error":
            raise _told_error(value[1:])
        return value[0], value[1:]

    def _exactly(self, size_bytes: int) -> bytes:
        found = self._read(size_bytes)
        if len(found) != size_bytes:
            raise ImportFailed(reason="stopped")
        return found


def _told_error(values: list[Any]) -> EdgeboxError:
    """Return the error a child tells of, if it is one that a file can have."""
    if [type(value) for value in values] != [str, dict]:
        return _nonsense()
    code, fields = values
    if not all(isinstance(value, str | int) and len(str(value)) <= TEXT_MAX for value in fields.values()):
        return _nonsense()
    for error_class in all_error_classes():
        if error_class.code == code and (code.startswith(_ERROR_AREAS) or code in _OTHER_ERRORS):
            return error_class(**fields) if _are_whole(error_class, fields) else _nonsense()
    return _nonsense()


def _are_whole(error_class: type[EdgeboxError], fields: dict[str, Any]) -> bool:
    """Return whether these are all fields that the texts of the error name, and sizes are numbers."""
    texts = Formatter().parse(error_class.sentence + error_class.remedy)
    are_there = all(name in fields for _, name, _, _ in texts if name)
    return are_there and all(type(value) is int for name, value in fields.items() if name.endswith("_bytes"))


def _is_remark(value: Any) -> bool:
    return (
        isinstance(value, list)
        and [type(text) for text in value] == [str, str]
        and max(len(text) for text in value) <= TEXT_MAX
    )


def _nonsense() -> ImportFailed:
    return ImportFailed(reason="answer")
