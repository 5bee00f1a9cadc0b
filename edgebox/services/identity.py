"""Who this box is: key pairs made at the first start, and the epoch that names this life of its database."""

from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic, ids
from content_packs.base.signing import SealingKey, SigningKey

_SUBMIT_KEY_BYTES = 32


@dataclass(frozen=True)
class Identity:
    """The secrets of a box.

    Attributes:
        signing: signs bundles; its key id is the box's id.
        sealing: opens what the hub sends.
        submit_key: makes and checks the submit tokens of tablets.
    """

    signing: SigningKey
    sealing: SealingKey
    submit_key: bytes

    @property
    def box_id(self) -> bytes:
        """Return the 16 bytes that name this box everywhere."""
        return self.signing.verify_key.key_id

    @property
    def home_page(self) -> str:
        """Return the `account.homePage` of this box's actors in xAPI statements."""
        return f"http://box-{self.box_id.hex()[:12]}.internal/"


def open_identity(keys: Path) -> Identity:
    """Read the keys in the folder, making those that are missing; never overwrites one."""
    return Identity(
        signing=SigningKey(atomic.read_or_create(keys / "box.key", SigningKey.generate().seed)),
        sealing=SealingKey(atomic.read_or_create(keys / "box.seal", SealingKey.generate().seed)),
        submit_key=atomic.read_or_create(keys / "submit.key", ids.random_bytes(_SUBMIT_KEY_BYTES)),
    )
