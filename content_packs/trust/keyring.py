"""The rules by which a box takes new packs: its own for what was made here, publishers it knows, and the list."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime

from content_packs.base.errors import N_
from content_packs.base.signing import VerifyKey
from content_packs.format.fields import is_local
from content_packs.format.keyring import Keyring
from content_packs.format.manifest import Manifest
from content_packs.format.vouching import ListExpired, LocalPackRefused, PackNotListed, PackWithdrawn
from content_packs.trust.listing import PackList

NOT_OURS = N_("names that begin with “local.” are for packs made at this school, and this one was not made here")
NOT_LOCAL = N_("the name of a pack made at this school begins with “local.”")


class BoxKeyring(Keyring):
    """Keys of the box, of the publishers its technician trusts, and of those the list names.

    Args:
        publishers: trusted for every pack id that is not local.
        own: the keys this box has or had; for local ids only, which nobody else may use.
        pack_list: what the platform vouches for.
        now_ms: the time, or None when the clock is not trusted: then a list never expires.
        withdrawn: versions that were taken back, whatever the list says.
    """

    def __init__(
        self,
        publishers: Mapping[bytes, VerifyKey],
        *,
        own: Sequence[VerifyKey] = (),
        pack_list: PackList | None = None,
        now_ms: int | None = None,
        withdrawn: Set[tuple[str, int]] = frozenset(),
    ) -> None:
        self._publishers = publishers
        self._own = frozenset(key.key_id for key in own)
        self._list = pack_list
        self._now_ms = now_ms
        self._withdrawn = withdrawn | (pack_list.withdrawn if pack_list else frozenset())
        listed = {key_id: key for key_id, (key, _) in pack_list.keys.items()} if pack_list else {}
        self._keys = listed | dict(publishers) | {key.key_id: key for key in own}

    def __getitem__(self, key_id: bytes) -> VerifyKey:
        return self._keys[key_id]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def accept(self, manifest: Manifest, signers: Sequence[bytes], envelope: bytes) -> bytes:
        """Return the signer by whom the box takes this pack.

        Raises:
            LocalPackRefused: a local id that this box did not sign, or another id that only this box signed.
            PackWithdrawn: it was taken back, whoever signed it.
            ListExpired, PackNotListed: nobody but the list could vouch for it, and the list does not.
        """
        if is_local(manifest.pack):
            own = next((signer for signer in signers if signer in self._own), None)
            if own is None:
                raise LocalPackRefused(pack=manifest.pack, reason=NOT_OURS)
            return own
        others = [signer for signer in signers if signer not in self._own]
        if not others:
            raise LocalPackRefused(pack=manifest.pack, reason=NOT_LOCAL)
        self.check_version(manifest.pack, manifest.version)
        trusted = next((signer for signer in others if signer in self._publishers), None)
        return trusted or self._listed(manifest, others, envelope)

    def check_version(self, pack: str, version: int) -> None:
        """Return unless this version was taken back.

        Raises:
            PackWithdrawn: it was.
        """
        if (pack, version) in self._withdrawn:
            raise PackWithdrawn(pack=pack, offered=version)

    def _listed(self, manifest: Manifest, signers: Sequence[bytes], envelope: bytes) -> bytes:
        pack, version = manifest.pack, manifest.version
        vouched = [one for one in signers if self._list and self._list.vouches_for(pack, version, envelope, one)]
        if self._list is None or not vouched:
            raise PackNotListed(pack=pack, offered=version)
        until_ms = self._list.valid_until_ms(pack, version)
        if self._now_ms is not None and self._now_ms >= until_ms:
            raise ListExpired(since=datetime.fromtimestamp(until_ms // 1000, UTC).date().isoformat())
        return vouched[0]
