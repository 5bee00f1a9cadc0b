"""What the pages of a pack may do in a browser.

They run in an opaque origin, and there `'self'` matches nothing in some browsers, so the policy names this origin by
its address, down to the folder of the pack: one pack cannot load the files of another.
"""

from dataclasses import dataclass

# Only names that browsers know: any other one is a complaint in the console of every experiment.
FEATURES = "camera=(), microphone=(), geolocation=(), usb=(), serial=(), midi=(), payment=()"


@dataclass(frozen=True)
class Origins:
    """Both origins of the box as the asking tablet reaches them."""

    app: str
    content: str


def document_headers(origins: Origins, pack: str, *, is_launched: bool = False) -> str:
    """Return the header lines for a document of `pack`, which is `id@version`.

    A pack with units that are launched (cmi5) may speak to the record store, with the token of a launch. Its pages come
    as others made them, with scripts and styles inside: in an opaque origin those may do no more than its files may.
    """
    own = f"{origins.content}/c/{pack}/"
    speaks = _of_units(origins, own) if is_launched else ""
    return (
        f"Content-Security-Policy: sandbox allow-scripts; default-src {own}; {speaks}img-src {own} data: blob:; "
        f"media-src {own} data: blob:; font-src {own} data:; object-src 'none'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors {origins.app}\r\n"
        f"Permissions-Policy: {FEATURES}\r\n"
    )


def _of_units(origins: Origins, own: str) -> str:
    inside = f"script-src {own} 'unsafe-inline' 'unsafe-eval'; style-src {own} 'unsafe-inline'; "
    return f"connect-src {own} {origins.app}/xapi/ {origins.app}/cmi5/fetch/; {inside}"
