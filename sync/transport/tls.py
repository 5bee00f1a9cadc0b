"""TLS that goes on where the last connection stopped: one turn less for each connection after a cut (RFC 8446, 2.2)."""

import ssl
from pathlib import Path
from typing import Any


class ResumingContext(ssl.SSLContext):
    """A client's context that offers the newest session ticket; make one per hub.

    The event loop makes its TLS objects with `wrap_bio` and has no parameter for a session, so it is added here.
    """

    _newest: ssl.SSLObject | None = None

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Return a TLS object that offers the ticket which came last on the connection before."""
        session = None if self._newest is None else self._newest.session
        self._newest = super().wrap_bio(*arguments, **options | {"session": session})
        return self._newest


def make_context(authorities: Path | None = None) -> ResumingContext:
    """Return a context that trusts the system's certificate authorities, or only those in a file. Blocks.

    Raises:
        OSError: the file cannot be read, or holds no certificates.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(authorities)
    return context
