"""Who this box is: key pairs made at the first start, and those it had before, when it was copied or restored.

`box.key` holds the seeds of all signing keys the box has had, 32 bytes each, the present one first. A new key is put in
front of the others in one atomic step, so a power cut leaves the old identity or the new one, each of them whole.
"""

from pathlib import Path

from content_packs.base import atomic, ids
from content_packs.base.signing import SealingKey, SigningKey, VerifyKey
from edgebox.domain.statement_out import home_page_of

KEY_NAME = "box.key"
_SUBMIT_KEY_BYTES = 32
_SEED_BYTES = 32


class Identity:
    """The secrets of a box.

    Attributes:
        folder: where the keys are.
        sealing: opens what the hub sends.
        submit_key: makes and checks the submit tokens of tablets; a new signing key leaves it as it is, because work
            may wait on a tablet for weeks.
    """

    def __init__(self, folder: Path, sealing: SealingKey, submit_key: bytes) -> None:
        """Read the signing keys in the folder, which are there. Blocks."""
        self.folder = folder
        self._keys = _read_keys(folder / KEY_NAME)
        self.sealing = sealing
        self.submit_key = submit_key

    @property
    def signing(self) -> SigningKey:
        """Return the key that signs bundles; its key id is the box's id."""
        return self._keys[0]

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """Return every key this box has had, the present one first: what was sealed to one of them it can open."""
        return self._keys

    @property
    def verify_keys(self) -> tuple[VerifyKey, ...]:
        """Return the public half of every key this box has had, the present one first."""
        return tuple(key.verify_key for key in self._keys)

    @property
    def box_id(self) -> bytes:
        """Return the 16 bytes that name this box to its hub."""
        return self.signing.verify_key.key_id

    @property
    def home_page(self) -> str:
        """Return the `account.homePage` of this box's actors in xAPI statements; that of its first key, for ever."""
        return home_page_of(self._keys[-1].verify_key.key_id)

    def renew(self) -> None:
        """Go on under a new signing key. Blocks."""
        fresh = SigningKey.generate()
        seeds = b"".join(key.seed for key in (fresh, *self._keys))
        atomic.write_file(self.folder / KEY_NAME, seeds, mode=atomic.PRIVATE_MODE)
        self._keys = (fresh, *self._keys)


def open_identity(keys: Path) -> Identity:
    """Read the keys in the folder, making those that are missing; never overwrites one."""
    atomic.read_or_create(keys / KEY_NAME, SigningKey.generate().seed)
    return Identity(
        keys,
        sealing=SealingKey(atomic.read_or_create(keys / "box.seal", SealingKey.generate().seed)),
        submit_key=atomic.read_or_create(keys / "submit.key", ids.random_bytes(_SUBMIT_KEY_BYTES)),
    )


def _read_keys(key_file: Path) -> tuple[SigningKey, ...]:
    seeds = key_file.read_bytes()
    return tuple(SigningKey(seeds[start : start + _SEED_BYTES]) for start in range(0, len(seeds), _SEED_BYTES))
