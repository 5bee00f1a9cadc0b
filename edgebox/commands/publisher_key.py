"""The key that signs what a command builds: the one given, or the box's own publisher key, made at its first use."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from content_packs.base.errors import N_
from content_packs.format.errors import PackNotFound, SourceInvalid
from edgebox.commands.options import settings_from

if TYPE_CHECKING:
    from content_packs.base.signing import SigningKey

KEY_NAME = "publisher.key"
NAMED_OTHERWISE = N_("this key has another name already; leave --publisher out, or choose another --key")
PUBLISHER = "Local publisher"


def add_key_options(parser: argparse.ArgumentParser) -> None:
    """Add `--key` and `--publisher`."""
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="secret key; made when it does not exist [keys/publisher.key]"
    )
    parser.add_argument(
        "--publisher", metavar="NAME", help=f"name people see, for a key that is made now [{PUBLISHER}]"
    )


def publisher_key(options: argparse.Namespace) -> "tuple[Path, SigningKey]":
    """Return the public key's file and the key, made if need be; a key keeps the name it was made with.

    Raises:
        PackNotFound: the public half is gone.
        SourceInvalid: it is no key, or has another name than `--publisher` asks for.
    """
    from content_packs.builder import create_key, public_path, read_key
    from content_packs.format import keyfile

    path: Path = options.key or settings_from(options).keys / KEY_NAME
    public = public_path(path)
    if not path.exists():
        return public, create_key(path, options.publisher or PUBLISHER)
    if options.publisher is not None:
        if not public.is_file():
            raise PackNotFound(place=str(public))
        _key_found, name = keyfile.parse_public(public.read_bytes(), public.name)
        if name != options.publisher:
            raise SourceInvalid(file=public.name, where="--publisher", reason=NAMED_OTHERWISE)
    return public, read_key(path)
