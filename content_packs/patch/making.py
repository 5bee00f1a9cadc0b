"""Making a patch: several ways to group the contents are tried, and the smallest that fits the memory is written.

Needs much memory and time, on the publisher's machine; boxes apply only.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from content_packs.base import atomic
from content_packs.base.compress import compress_against
from content_packs.base.signing import SigningKey
from content_packs.format import layout
from content_packs.format.errors import PackDiffers, PackRollback
from content_packs.format.manifest import Manifest, parse
from content_packs.patch import plan
from content_packs.patch.contents import read_envelope
from content_packs.patch.errors import PatchMemory
from content_packs.patch.head import (
    FEATURE_PARTS,
    MEMORY_BYTES,
    NOTHING,
    PatchHead,
    block_hashes,
    block_log_for,
    seal_head,
)
from content_packs.patch.needs import Needs
from content_packs.patch.plan import Group
from content_packs.patch.sources import PIECED_BYTES, Sources, Way
from content_packs.usb.writing import make_folder, write_all

GROUP_SIZES: Final = (0, PIECED_BYTES, 16 * 1024**2, 64 * 1024**2)

_COPY_BYTES: Final = 1024**2
# What a group takes in the plan, about.
_GROUP_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class PatchReport:
    """A patch that was made.

    Attributes:
        tried: what each way took, in bytes.
    """

    path: Path
    head: PatchHead
    size_bytes: int
    tried: Mapping[Way, int]


def make_patch(
    old: Path | None, new: Path, out: Path, key: SigningKey, *, memory_bytes: int = MEMORY_BYTES
) -> PatchReport:
    """Write the patch from the pack in `old` (nothing: from no version) to the one in `new`, signed by `key`.

    `out` is the file, if it ends in `.ebp`, else the folder or stick in which it gets its place under `edgebox`.
    The two packs are read whole and every byte is checked; a file half written is never in place.

    Raises:
        PackRollback, PackDiffers: `new` is not a later version of the same pack.
        PatchMemory: there is no patch that can be applied within `memory_bytes`.
        CompressorMissing: this program was installed without the part that makes patches.
        PackNotFound, ManifestMalformed, BlobMissing, BlobAltered: a pack is not whole.
    """
    maker = _Maker(old, new, memory_bytes)
    with TemporaryFile() as body:
        return maker.write(out, key, body)


class _Maker:
    def __init__(self, old: Path | None, new: Path, memory_bytes: int) -> None:
        self._new_envelope = read_envelope(new)
        self._old_envelope = read_envelope(old) if old else None
        self._new_manifest = parse(self._new_envelope.signed)
        self._old_manifest = parse(self._old_envelope.signed) if self._old_envelope else None
        _check_versions(self._old_manifest, self._new_manifest)
        self._memory_bytes = memory_bytes
        self._known = plan.known(self._old_envelope)
        entries = list(self._known.entries), list(plan.known(self._new_envelope).entries)
        needs = Needs(self._old_manifest, self._new_manifest)
        self._sources = Sources((old, new), *entries, needs, opened_max_bytes=memory_bytes // 2)
        self._told = self._sources.told()

    def write(self, out: Path, key: SigningKey, body: BinaryIO) -> PatchReport:
        """Make the patch in `body`, then write it."""
        with ExitStack() as files:
            best, tried = self._best(files)
            told = plan.write_plan(
                self._known,
                self._new_envelope,
                self._sources.steps(),
                self._sources.containers,
                best.groups,
                key.verify_key.key_id,
                self._told,
                is_by_name=best.way.is_by_name,
            )
            packed = compress_against(self._known.plan_base(), told)
            body.write(packed)
            body.writelines(_steps(best.frames))
        head = self._head(body, len(packed), best.held_bytes)
        path = _place(out, self._new_manifest.pack, self._old_manifest)
        size_bytes = _write_file(path, seal_head(head, key), body)
        return PatchReport(path, head, size_bytes, tried)

    def _best(self, files: ExitStack) -> tuple["_Made", dict[Way, int]]:
        """Return what the smallest way gave, and what was tried."""
        made = [self._try(way, files) for way in self._ways()]
        if not made:
            raise PatchMemory(needed_bytes=PIECED_BYTES, usable_bytes=self._memory_bytes)
        best = min(made, key=lambda one: one.length_bytes)
        if best.way.group_bytes and len(best.groups) > 1:
            made.append(self._try(replace(best.way, is_by_name=True), files))
        return min(made, key=lambda one: one.length_bytes), {one.way: one.length_bytes for one in made}

    def _try(self, way: Way, files: ExitStack) -> "_Made":
        frames = files.enter_context(TemporaryFile())  # noqa: SIM115 - closed by `files`
        groups, held_bytes = self._sources.compress(way, frames)
        return _Made(way, groups, held_bytes, frames, frames.tell() + _GROUP_BYTES * len(groups))

    def _ways(self) -> list[Way]:
        """Return the ways worth trying."""
        usable_bytes = self._memory_bytes - self._sources.container_bytes
        if self._old_envelope is None:
            return [Way(usable_bytes)] if usable_bytes > 0 else []
        fitting = {size for size in GROUP_SIZES if size <= usable_bytes}
        if self._sources.all_bytes > max(fitting, default=0) > 0:
            fitting.add(usable_bytes)
        copying = (False, True) if self._sources.copied else (False,)
        return [Way(size, has_copies) for has_copies in copying for size in sorted(fitting)]

    def _head(self, body: BinaryIO, plan_bytes: int, held_bytes: int) -> PatchHead:
        body_bytes = body.tell()
        block_log = block_log_for(body_bytes)
        body.seek(0)
        blocks = [body.read(1 << block_log) for _ in range(0, body_bytes, 1 << block_log)]
        old = self._old_manifest
        return PatchHead(
            pack=self._new_manifest.pack,
            from_root=old.root[: layout.ROOT_NAME_BYTES] if old else NOTHING,
            from_version=old.version if old else 0,
            to_root=self._new_manifest.root[: layout.ROOT_NAME_BYTES],
            to_version=self._new_manifest.version,
            memory_bytes=held_bytes,
            plan_bytes=plan_bytes,
            body_bytes=body_bytes,
            block_log=block_log,
            blocks=block_hashes(blocks),
            features=(FEATURE_PARTS,) if self._told else (),
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """What one way gave."""

    way: Way
    groups: list[Group]
    held_bytes: int
    frames: BinaryIO
    length_bytes: int


def _check_versions(old: Manifest | None, new: Manifest) -> None:
    if old is None:
        return
    if old.pack != new.pack or old.version == new.version:
        raise PackDiffers(pack=old.pack, offered=new.version)
    if old.version > new.version:
        raise PackRollback(pack=old.pack, installed=old.version, offered=new.version)


def _place(out: Path, pack: str, old: Manifest | None) -> Path:
    if out.suffix == layout.PATCH_ENDING:
        return out
    return out / layout.STICK_NAME / layout.patch_name(pack, old.root if old else NOTHING)


def _write_file(path: Path, head: bytes, body: BinaryIO) -> int:
    """Write beside, flush and rename; return the length."""
    make_folder(path.parent)
    beside = path.with_name(path.name + ".part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, head)
        for step in _steps(body):
            write_all(descriptor, step)
        os.fsync(descriptor)
        size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    beside.replace(path)
    atomic.sync_directory(path.parent)
    return size_bytes


def _steps(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while step := file.read(_COPY_BYTES):
        yield step
