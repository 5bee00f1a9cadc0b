"""The publishers a box trusts: public key files in `<data>/keys/publishers`."""

from dataclasses import dataclass
from pathlib import Path

from content_packs.base.signing import VerifyKey
from content_packs.format.keyfile import KEY_FILE_MAX_BYTES, parse_public


@dataclass(frozen=True, slots=True)
class Publisher:
    """A key, and the name the box's technician knows it by.

    Attributes:
        prefix: of the pack ids that a list gives to whoever has, or had, this key; empty when no list does.
    """

    key: VerifyKey
    name: str
    prefix: str = ""


def publishers(folder: Path) -> dict[bytes, Publisher]:
    """Return the publishers in `folder` by key id; none when there is no such folder.

    Raises:
        SourceInvalid: a file ending `.pub` that is no public key.
    """
    found: dict[bytes, Publisher] = {}
    for path in sorted(folder.glob("*.pub")):
        with path.open("rb") as file:
            key, name = parse_public(file.read(KEY_FILE_MAX_BYTES), path.name)
        found[key.key_id] = Publisher(key, name)
    return found


def trusted_keys(folder: Path) -> dict[bytes, VerifyKey]:
    """Return the keys in `folder` by key id, as `open_envelope` wants them. Raises like `publishers`."""
    return {key_id: publisher.key for key_id, publisher in publishers(folder).items()}
