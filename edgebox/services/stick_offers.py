"""What sticks offer: packs, patches that make them, and what loading one would change."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.format.manifest import Manifest, Part


class Change(Enum):
    """What installing an offer would change."""

    NEW = "new"
    UPDATE = "update"
    HERE = "here"
    OLDER = "older"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class PartOffer:
    """A part that may be left out; of a pack that is on the box already, one that was left out.

    Attributes:
        needed_bytes: what it would take besides the rest of the pack.
        is_taken: whether it is taken when nobody chooses.
    """

    part: Part
    needed_bytes: int
    is_taken: bool


@dataclass(frozen=True)
class Offer:
    """One pack on a stick, or a patch that makes it.

    Attributes:
        folder: of the pack, or the file of the patch.
        pack, version: empty and 0 when it cannot be read.
        title: by language, empty when nobody knows it.
        size_bytes: of the pack's files, or of the patch.
        manifest: nothing for a patch, or when it cannot be read; when `error` is set, only what the pack says of
            itself.
        signer_name: name of the trusted publisher who signed it; empty when this box did.
        installed_version: of the same pack on the box, 0 when there is none.
        highest_version: of the same pack that is or was on the box; an older one is refused.
        needed_bytes: what it would take on the box's disk when nobody chooses parts.
        fits: whether that much may be used.
        read_bytes: what would be read from the stick.
        left_out: its parts that are not on the stick.
        least_bytes: what it would take without any of the `parts`.
        fits_without_parts: whether that much may be used.
    """

    folder: Path
    pack: str
    version: int
    title: Mapping[str, str]
    size_bytes: int
    manifest: Manifest | None
    signer_name: str | None
    change: Change
    installed_version: int
    highest_version: int
    needed_bytes: int
    fits: bool
    read_bytes: int
    error: EdgeboxError | None
    left_out: tuple[Part, ...] = ()
    parts: tuple[PartOffer, ...] = ()
    least_bytes: int = 0
    fits_without_parts: bool = False

    @property
    def can_install(self) -> bool:
        """Return whether it, or more of it than the box has, may be loaded."""
        is_more = self.change in (Change.NEW, Change.UPDATE) or (self.change is Change.HERE and bool(self.parts))
        return is_more and self.fits_without_parts

    @property
    def is_usable(self) -> bool:
        """Return whether it would change the box."""
        return self.change in (Change.NEW, Change.UPDATE)


@dataclass(frozen=True)
class Stick:
    """A stick and its offers.

    Attributes:
        error: why it cannot be read.
        list_error: why its list of packs is refused.
        is_whole: False when there is too much on it to look at everything.
        packs: the folders of packs by id, those included instead of which a patch is offered.
    """

    path: Path
    offers: tuple[Offer, ...]
    error: EdgeboxError | None = None
    list_error: EdgeboxError | None = None
    is_whole: bool = True
    packs: tuple[tuple[str, Path], ...] = ()


def cheapest(folders: list[Offer], patches: list[Offer]) -> list[Offer]:
    """Return what is to be shown: of a pack folder and patches that make the same version, what is read sooner.

    A patch that cannot be used is shown only if the stick has nothing else of its pack.
    """
    best: dict[tuple[str, int], Offer] = {}
    for offer in (one for one in (*folders, *patches) if one.is_usable):
        named = (offer.pack, offer.version)
        if named not in best or _cost(offer) < _cost(best[named]):
            best[named] = offer
    packs = {offer.pack for offer in folders} | {pack for pack, _ in best}
    by_patch = {named for named, offer in best.items() if offer.manifest is None}
    shown = [offer for offer in folders if not offer.is_usable or (offer.pack, offer.version) not in by_patch]
    shown += [offer for offer in best.values() if offer.manifest is None]
    return shown + [offer for offer in patches if not offer.is_usable and offer.pack not in packs]


def _cost(offer: Offer) -> tuple[bool, int]:
    return not offer.fits, offer.read_bytes
