"""The list of packs as a box keeps it: who may publish what, which versions are listed, which were withdrawn.

It is made from TUF records after all of them were verified, and kept in one file, so that a box that starts, or one
whose line dropped in the middle of a newer list, still goes by one whole list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from content_packs.base import codec
from content_packs.base.signing import VerifyKey

LIST_MAX_BYTES = 64 * 1024 * 1024
_FORMAT = 1


@dataclass(frozen=True)
class ListedPublisher:
    """Who may publish the pack ids that are `prefix` or begin with it and a dot, and until when that list holds."""

    prefix: str
    name: str
    keys: tuple[VerifyKey, ...]
    expires_ms: int


@dataclass(frozen=True)
class ListedPack:
    """One listed version of a pack.

    Attributes:
        prefix: of the publisher who listed it.
        signer: the key that signed the manifest; the publisher's, or one the publisher had before.
    """

    prefix: str
    length_bytes: int
    sha256: bytes
    signer: VerifyKey


@dataclass(frozen=True)
class PackList:
    """One whole verified list.

    Attributes:
        stamp: SHA-256 of the timestamp record it hangs on; the same stamp means the same list.
        made_ms: when the hub signed it.
        expires_ms: when the first of the platform's own records is out of date.
    """

    stamp: bytes
    made_ms: int
    expires_ms: int
    publishers: tuple[ListedPublisher, ...]
    packs: Mapping[tuple[str, int], ListedPack]
    withdrawn: frozenset[tuple[str, int]]

    @cached_property
    def by_prefix(self) -> Mapping[str, ListedPublisher]:
        """Return the publishers by prefix."""
        return {publisher.prefix: publisher for publisher in self.publishers}

    @cached_property
    def keys(self) -> Mapping[bytes, tuple[VerifyKey, str]]:
        """Return all keys this list vouches for by key id, with the name of who has or had them."""
        found = {
            listed.signer.key_id: (listed.signer, self.by_prefix[listed.prefix].name) for listed in self.packs.values()
        }
        now = {key.key_id: (key, publisher.name) for publisher in self.publishers for key in publisher.keys}
        return found | now

    @cached_property
    def prefixes(self) -> Mapping[bytes, str]:
        """Return whose a key is or was, by key id; a key of several publishers tells nothing."""
        found: dict[bytes, set[str]] = {}
        for listed in self.packs.values():
            found.setdefault(listed.signer.key_id, set()).add(listed.prefix)
        for publisher in self.publishers:
            for key in publisher.keys:
                found.setdefault(key.key_id, set()).add(publisher.prefix)
        return {key_id: next(iter(prefixes)) for key_id, prefixes in found.items() if len(prefixes) == 1}

    def valid_until_ms(self, pack: str, version: int) -> int:
        """Return when what is said about a pack version is out of date."""
        listed = self.packs.get((pack, version))
        return min(self.expires_ms, self.by_prefix[listed.prefix].expires_ms) if listed else self.expires_ms

    def vouches_for(self, pack: str, version: int, envelope: bytes, signer: bytes) -> bool:
        """Return whether this very manifest file is listed, as signed by the key with this id."""
        listed = self.packs.get((pack, version))
        return (
            listed is not None
            and listed.signer.key_id == signer
            and len(envelope) == listed.length_bytes
            and sha256(envelope).digest() == listed.sha256
        )


def encode_list(pack_list: PackList) -> bytes:
    """Return the bytes that `decode_list` reads."""
    return codec.encode(
        {
            "format": _FORMAT,
            "stamp": pack_list.stamp,
            "made_ms": pack_list.made_ms,
            "expires_ms": pack_list.expires_ms,
            "publishers": [
                [one.prefix, one.name, [key.raw for key in one.keys], one.expires_ms] for one in pack_list.publishers
            ],
            "packs": [
                [*named, listed.prefix, listed.length_bytes, listed.sha256, listed.signer.raw]
                for named, listed in sorted(pack_list.packs.items())
            ],
            "withdrawn": sorted(list(named) for named in pack_list.withdrawn),
        }
    )


def decode_list(data: bytes) -> PackList:
    """Return the list in `data`, which this box wrote itself.

    Raises:
        CodecMalformed, KeyError, ValueError, TypeError: the file is damaged.
    """
    value: dict[str, Any] = codec.decode(data, max_bytes=LIST_MAX_BYTES)
    if value["format"] != _FORMAT:
        raise ValueError("another format")
    return PackList(
        stamp=bytes(value["stamp"]),
        made_ms=int(value["made_ms"]),
        expires_ms=int(value["expires_ms"]),
        publishers=tuple(
            ListedPublisher(prefix, name, tuple(map(VerifyKey, keys)), expires_ms)
            for prefix, name, keys, expires_ms in value["publishers"]
        ),
        packs={
            (pack, version): ListedPack(prefix, length_bytes, digest, VerifyKey(signer))
            for pack, version, prefix, length_bytes, digest, signer in value["packs"]
        },
        withdrawn=frozenset((pack, version) for pack, version in value["withdrawn"]),
    )
