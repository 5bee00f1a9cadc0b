"""Key files of a publisher on disk: made once, kept private, read back."""

import os
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.errors import N_
from content_packs.base.signing import SigningKey
from content_packs.format import keyfile
from content_packs.format.errors import PackNotFound, SourceInvalid


def create_key(path: Path, name: str) -> SigningKey:
    """Make a key; write its secret to `path` (readable by its owner only) and its public half to `path` + `.pub`.

    Raises:
        SourceInvalid: `path` exists already: a key is never overwritten; or a name that cannot be shown.
    """
    key = SigningKey.generate()
    public = keyfile.format_public(key.verify_key, name)
    if os.path.lexists(path):
        raise SourceInvalid(file=path.name, where="", reason=N_("this file exists already and is not overwritten"))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_file(path, keyfile.format_secret(key).encode(), mode=atomic.PRIVATE_MODE)
    atomic.write_file(public_path(path), public.encode())
    return key


def read_key(path: Path) -> SigningKey:
    """Return the secret key in `path`.

    Raises:
        PackNotFound: there is no such file.
        SourceInvalid: it is not a secret key.
    """
    if not path.is_file():
        raise PackNotFound(place=str(path))
    with path.open("rb") as file:
        return keyfile.parse_secret(file.read(keyfile.KEY_FILE_MAX_BYTES), path.name)


def public_path(path: Path) -> Path:
    """Return where the public half of the key in `path` is."""
    return path.with_name(path.name + ".pub")
