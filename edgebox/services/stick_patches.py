"""Updates on a stick: patches for the very versions that are on the box, and full ones.

Only heads and plans are read here, and of a few patches only; the rest is verified when a patch is applied. A patch for
another version than the box has is none of its business.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.errors import PackNotFound, PackRollback, StickGone
from content_packs.format.fields import is_local
from content_packs.format.keyring import Keyring
from content_packs.patch import PatchFile, PatchHead, PatchLimits, inspect_patch
from content_packs.patch.errors import PatchBaseMissing
from content_packs.patch.head import NOTHING
from content_packs.usb.stick import NotPlain, StickFolder

PLANS_MAX = 100


@dataclass(frozen=True)
class PatchOffer:
    """A patch on a stick that this box could use.

    Attributes:
        version: that it makes; 0 when its head cannot be read.
        signer: id of the trusted key that signed it.
        title: of the version it makes, as far as it can be told.
        size_bytes: of the file.
        needed_bytes: of the contents it makes.
        error: why it cannot be used, if it cannot.
    """

    path: Path
    pack: str
    version: int
    signer: bytes | None
    size_bytes: int
    needed_bytes: int = 0
    fits: bool = False
    error: EdgeboxError | None = None
    title: Mapping[str, str] = field(default_factory=dict)


def find_patches(
    data: Path,
    folders: Sequence[Path],
    bases: Callable[[str], tuple[int, bytes]],
    trusted: Mapping[bytes, VerifyKey],
    limits: PatchLimits,
) -> list[PatchOffer]:
    """Return the patches in the folders of packs that lead from what the box has, or from nothing, to something newer.

    `bases` gives version and Merkle root of the pack on the box, 0 and nothing if it is not there. Blocks.

    Raises:
        StickGone: the stick does not answer any more.
    """
    found: list[PatchOffer] = []
    for folder in folders:
        pack = folder.name.lower()
        version, root = (0, b"") if is_local(pack) else bases(pack)
        for path, size_bytes in _files(folder, pack, root):
            head = None if len(found) >= PLANS_MAX else _look_at(path, trusted)
            if isinstance(head, EdgeboxError):
                found.append(PatchOffer(path, pack, 0, None, size_bytes, error=head))
            elif head is not None and head[0].to_version > version and _is_for(head[0], pack, root):
                found += _inspect(data, path, size_bytes, *head, trusted, limits)
    return found


def patch_makes(path: Path, trusted: Mapping[bytes, VerifyKey]) -> tuple[str, int] | None:
    """Return pack and version that a patch makes, nothing when it is not there or not what it should be. Blocks."""
    try:
        with PatchFile(path, trusted) as file:
            return file.head.pack, file.head.to_version
    except (EdgeboxError, OSError):
        return None


def _files(folder: Path, pack: str, root: bytes) -> Iterator[tuple[Path, int]]:
    """Yield the plain files that may be of use, with their sizes."""
    try:
        with StickFolder(folder) as files:
            for name in dict.fromkeys(layout.patch_name(pack, base).rpartition("/")[2] for base in (root, b"")):
                try:
                    yield folder / name, files.size_bytes(name)
                except (FileNotFoundError, NotPlain):
                    continue
    except OSError:
        return


def _look_at(path: Path, trusted: Mapping[bytes, VerifyKey]) -> tuple[PatchHead, bytes] | EdgeboxError | None:
    """Return the head and who signed it, or why it cannot be used."""
    try:
        with PatchFile(path, trusted) as file:
            if isinstance(trusted, Keyring):
                trusted.check_version(file.head.pack, file.head.to_version)
            return file.head, file.signer
    except StickGone:
        raise
    except PackNotFound:
        return None
    except EdgeboxError as error:
        return error


def _is_for(head: PatchHead, pack: str, root: bytes) -> bool:
    return head.pack == pack and head.from_root in (NOTHING, root[: len(NOTHING)])


def _inspect(
    data: Path,
    path: Path,
    size_bytes: int,
    head: PatchHead,
    signer: bytes,
    trusted: Mapping[bytes, VerifyKey],
    limits: PatchLimits,
) -> list[PatchOffer]:
    """Return the offer, none when the box lacks files that the patch builds on, or had something newer."""
    offer = PatchOffer(path, head.pack, head.to_version, signer, size_bytes)
    try:
        found = inspect_patch(data, path, trusted, limits=limits)
    except StickGone:
        raise
    except (PatchBaseMissing, PackRollback):
        return []
    except EdgeboxError as error:
        return [replace(offer, error=error)]
    return [replace(offer, needed_bytes=found.needed_bytes, fits=found.fits, title=found.title)]
