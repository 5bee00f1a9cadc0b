"""What the system says when a stick is pulled, full or write-protected, as our errors."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from content_packs.format.errors import StickGone
from content_packs.usb.errors import StickFull, StickReadOnly
from content_packs.usb.stick import GONE_ERRORS

FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def stick_faults(stick: Path) -> Iterator[None]:
    """Turn what happens when a stick is pulled, full or write-protected into its error."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRORS:
            raise StickFull(needed_mb=1, usable_mb=0) from error
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise StickReadOnly(stick=stick.name) from error
        if error.errno in GONE_ERRORS | {errno.ENOENT, errno.ENOTDIR}:
            raise StickGone(place=str(stick), reason=errno.errorcode[error.errno or 0]) from error
        raise
