"""A patch file on disk: its head verified, and every block of its body before a byte of it is used."""

import errno
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from content_packs.base.signing import VerifyKey
from content_packs.format.errors import PackNotFound, StickGone
from content_packs.patch.errors import PatchMalformed
from content_packs.patch.head import PREFACE_BYTES, head_length, open_head
from content_packs.usb.stick import NotPlain, StickFolder

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES: Final = 64 * 1024


class PatchFile:
    """An open patch file; use it with `with`.

    Attributes:
        head: what was signed.
        signer: id of the trusted key that signed it.

    Raises:
        PatchMalformed, PatchUnsupported: it is no patch this program can read, or it is cut short.
        SignerUnknown, PatchSignatureInvalid: it cannot be trusted.
        PackNotFound: there is no such plain file.
        StickGone: it cannot be read any more.
    """

    def __init__(self, path: Path, trusted: Mapping[bytes, VerifyKey]) -> None:
        self._path = path
        try:
            # Somebody may have brought it: no link is followed, and a pipe is not waited for.
            with StickFolder(path.parent.resolve()) as folder:
                self._file = folder.open(path.name)
        except (OSError, NotPlain) as error:
            raise PackNotFound(place=str(path)) from error
        try:
            length = head_length(self._file.read(PREFACE_BYTES))
            self.head, self.signer = open_head(self._file.read(length), trusted)
            self._body_at = PREFACE_BYTES + length
            if os.fstat(self._file.fileno()).st_size != self._body_at + self.head.body_bytes:
                raise PatchMalformed(reason="length")
        except OSError as error:
            self._file.close()
            raise self._gone(error) from error
        except BaseException:
            self._file.close()
            raise
        self._held_number = -1
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def part(self, start: int, length: int) -> io.BufferedReader:
        """Return a part of the body, to be read once.

        Raises:
            PatchMalformed: it is not in the body.
        """
        if start + length > self.head.body_bytes:
            raise PatchMalformed(reason="length")
        return io.BufferedReader(_BodyPart(self, start, length), _BUFFER_BYTES)

    def read_at(self, at: int, most_bytes: int) -> bytes:
        """Return at least one and at most `most_bytes` of the body from `at` on, verified.

        Raises:
            PatchMalformed: the block is not the one that was signed.
            StickGone: the file cannot be read any more.
        """
        number, inside = divmod(at, self.head.block_bytes)
        if number != self._held_number:
            content = self._read_block(number)
            self.head.check_block(number, content)
            self._held_number, self._held = number, content
        return self._held[inside : inside + most_bytes]

    def _read_block(self, number: int) -> bytes:
        at = self._body_at + number * self.head.block_bytes
        try:
            return os.pread(self._file.fileno(), self.head.block_length(number), at)
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: OSError) -> StickGone:
        return StickGone(place=str(self._path), reason=errno.errorcode.get(error.errno or 0, ""))


class _BodyPart(io.RawIOBase):
    """Some bytes of the body, as a source to decompress from."""

    def __init__(self, file: PatchFile, start: int, length: int) -> None:
        self._file = file
        self._at = start
        self._end = start + length

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer with at most as many of the next bytes; return how many, 0 at the end."""
        view = memoryview(buffer).cast("B")
        wanted_bytes = min(len(view), self._end - self._at)
        content = self._file.read_at(self._at, wanted_bytes) if wanted_bytes else b""
        view[: len(content)] = content
        self._at += len(content)
        return len(content)
