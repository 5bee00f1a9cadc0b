"""The hub's secrets: one key signs acks, one opens what boxes seal."""

from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.signing import SealingKey, SigningKey


@dataclass(frozen=True)
class HubKeys:
    """Both keys of a hub."""

    signing: SigningKey
    sealing: SealingKey


def open_keys(folder: Path) -> HubKeys:
    """Read the keys in the folder, making those that are missing; never overwrites one."""
    return HubKeys(
        SigningKey(atomic.read_or_create(folder / "hub.key", SigningKey.generate().seed)),
        SealingKey(atomic.read_or_create(folder / "hub.seal", SealingKey.generate().seed)),
    )
