"""Makes the new contents of a patch from those the box has, one group at a time, within the memory it declares."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO

from content_packs.base.compress import CompressedMalformed, read_against
from content_packs.installer import BlobStore
from content_packs.patch import containers
from content_packs.patch.containers import Buffer, Steps
from content_packs.patch.errors import PatchMalformed, PatchResultDiffers
from content_packs.patch.plan import Group, Work
from content_packs.patch.reading import PatchFile

_STEP_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Unit:
    """Targets that are made and shown together: those of one group, or one that has several."""

    targets: tuple[int, ...]
    groups: tuple[tuple[int, Group], ...]


def units(work: Work, plan_bytes: int) -> Iterator[Unit]:
    """Yield the units in order; each group comes with the place of its frame in the body."""
    at, place = plan_bytes, 0
    pieces: list[tuple[int, Group]] = []
    for group in work.groups:
        if group.targets:
            yield Unit(tuple(work.order[place : place + group.targets]), ((at, group),))
            place += group.targets
        else:
            pieces.append((at, group))
            if sum(piece.piece_bytes for _, piece in pieces) == work.stream_bytes(work.order[place]):
                yield Unit((work.order[place],), tuple(pieces))
                place, pieces = place + 1, []
        at += group.frame_bytes


class Workshop:
    """Reads bases from `store` and frames from `file`."""

    def __init__(self, file: PatchFile, work: Work, store: BlobStore) -> None:
        self._file = file
        self._work = work
        self._store = store

    def contents(self, unit: Unit) -> Iterator[Iterator[bytes]]:
        """Yield the content of every target of the unit; each has to be read to its end before the next.

        Raises:
            PatchMalformed: the frames do not hold what the plan says.
            PatchResultDiffers: a container closes to other bytes here.
            FileNotFoundError: the box lacks a base.
        """
        steps = Steps(self._stream(unit))
        for target in unit.targets:
            part = steps.pass_on(self._work.stream_bytes(target))
            container = self._work.containers.get(target)
            size_bytes = self._work.targets[target].size_bytes
            if container is None:
                yield part
            else:
                yield self._sized(containers.close(part, container.parameters), size_bytes)

    def _stream(self, unit: Unit) -> Iterator[bytes]:
        if unit.groups[0][1].targets:
            at, group = unit.groups[0]
            stream_bytes = sum(map(self._work.stream_bytes, unit.targets))
            if group.frame_bytes:
                yield from self._decompressed(
                    self._joined_bases(unit), self._file.part(at, group.frame_bytes), stream_bytes
                )
            return
        with self._base_file(unit.targets[0]) as base:
            for at, group in unit.groups:
                base.seek(group.offset)
                if group.is_copy:
                    yield from _copied(base, group.length)
                else:
                    self._check_memory(group.length)
                    known = bytearray(base.read(group.length))
                    yield from self._decompressed(known, self._file.part(at, group.frame_bytes), group.piece_bytes)

    def _decompressed(self, base: bytearray, source: IO[bytes], limit_bytes: int) -> Iterator[bytes]:
        self._check_memory(len(base))
        memory_bytes = self._file.head.memory_bytes
        try:
            yield from read_against(base, source, limit_bytes=limit_bytes, window_max_bytes=memory_bytes)
        except CompressedMalformed as error:
            raise PatchMalformed(reason="group") from error

    def _joined_bases(self, unit: Unit) -> bytearray:
        """Return the bases of all targets of the unit, each once, in order."""
        joined = bytearray()
        for base, container in dict.fromkeys(map(self._base_name, unit.targets)):
            if base >= 0:
                for step in self._base_steps(base, container):
                    joined += step
                    self._check_memory(len(joined))
        return joined

    def _base_file(self, target: int) -> IO[bytes]:
        """Return the base of a target as a file; an opened container as one without a name."""
        base, opening = self._base_name(target)
        if base < 0:
            return BytesIO()
        if opening is None:
            return self._store.open(self._work.bases[base][0])
        file = TemporaryFile(dir=self._store.root)  # noqa: SIM115 - the caller closes it
        file.writelines(self._base_steps(base, opening))
        return file

    def _sized(self, content: Iterator[bytes], size_bytes: int) -> Iterator[bytes]:
        """Pass `content` on, if it is as long as it has to be; what another zlib makes may be longer."""
        for step in content:
            size_bytes -= len(step)
            if size_bytes < 0:
                break
            yield step
        if size_bytes:
            raise PatchResultDiffers(pack=self._file.head.pack)

    def _base_name(self, target: int) -> tuple[int, tuple[int, tuple[int, ...]] | None]:
        container = self._work.containers.get(target)
        opening = (container.kind, container.left) if container else None
        return self._work.targets[target].base, opening

    def _base_steps(self, base: int, opening: tuple[int, tuple[int, ...]] | None) -> Iterator[bytes]:
        if opening:
            yield from containers.open_container(self._mapped(base), *opening)
            return
        with self._store.open(self._work.bases[base][0]) as file:
            while step := file.read(_STEP_BYTES):
                yield step

    def _mapped(self, base: int) -> Buffer:
        """Return a base that was just read whole: to touch what the disk cannot give would end the program."""
        content_hash, size_bytes = self._work.bases[base]
        if not self._store.is_intact(content_hash):
            raise FileNotFoundError(content_hash.hex())
        with self._store.open(content_hash) as file:
            return mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ) if size_bytes else b""

    def _check_memory(self, held_bytes: int) -> None:
        if held_bytes > self._file.head.memory_bytes:
            raise PatchMalformed(reason="memory")


def _copied(file: IO[bytes], length: int) -> Iterator[bytes]:
    """Yield the next bytes of a file; a file that is shorter leaves some out."""
    while length and (step := file.read(min(_STEP_BYTES, length))):
        length -= len(step)
        yield step
