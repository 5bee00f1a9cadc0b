"""What a browser may do with a file, by the media type in its manifest."""

# A document can hold scripts, so it is answered with a sandbox.
DOCUMENTS = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml", "application/xml", "text/xml"})
_SHOWN = DOCUMENTS | {
    "application/javascript",
    "application/json",
    "application/pdf",
    "application/wasm",
    "font/otf",
    "font/ttf",
    "font/woff",
    "font/woff2",
    "text/css",
    "text/javascript",
    "text/plain",
    "text/vtt",
}
_SHOWN_FAMILIES = ("image/", "audio/", "video/")
_TEXT = frozenset({"text/css", "text/html", "text/javascript", "text/plain", "text/vtt"})


def type_headers(media_type: str) -> str:
    """Return the header lines that say what a file is; anything not known to be harmless is only for saving."""
    if media_type not in _SHOWN and not media_type.startswith(_SHOWN_FAMILIES):
        return "Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n"
    charset = "; charset=utf-8" if media_type in _TEXT else ""
    return f"Content-Type: {media_type}{charset}\r\n"
