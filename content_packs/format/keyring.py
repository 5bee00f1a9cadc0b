"""Keys that come with a rule on what each of them may sign."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from content_packs.base.signing import VerifyKey
from content_packs.format.manifest import Manifest


class Keyring(Mapping[bytes, VerifyKey]):
    """Verify keys by key id. `open_envelope` asks it about every manifest whose signatures fit."""

    @abstractmethod
    def accept(self, manifest: Manifest, signers: Sequence[bytes], envelope: bytes) -> bytes:
        """Return the one of `signers` that may sign this pack.

        Args:
            manifest: what was signed.
            signers: ids of keys of this ring whose signatures fit, at least one.
            envelope: the whole file, as it came.

        Raises:
            EdgeboxError: none of them may, or the pack was withdrawn.
        """

    @abstractmethod
    def check_version(self, pack: str, version: int) -> None:
        """Return unless this version cannot be taken, whoever signed it: nothing of it need be fetched.

        Raises:
            PackWithdrawn: it was withdrawn.
        """
