"""Which files a pack may have, their media types, and a look whether the content is what the name says."""

from pathlib import Path

from content_packs.base.errors import N_
from content_packs.format.errors import SourceInvalid

# The operating system's own table differs from machine to machine, and a pack has to be the same everywhere.
MEDIA_TYPES = {
    "css": "text/css",
    "gif": "image/gif",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "m4a": "audio/mp4",
    "mjs": "text/javascript",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
}
_BEGINNINGS: dict[str, tuple[tuple[int, bytes], ...]] = {
    "application/pdf": ((0, b"%PDF-"),),
    "audio/mp4": ((4, b"ftyp"),),
    "audio/mpeg": ((0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xf3"), (0, b"\xff\xf2"), (0, b"\xff\xfa")),
    "audio/ogg": ((0, b"OggS"),),
    "audio/wav": ((0, b"RIFF"),),
    "font/otf": ((0, b"OTTO"), (0, b"\x00\x01\x00\x00")),
    "font/ttf": ((0, b"\x00\x01\x00\x00"), (0, b"true"), (0, b"OTTO")),
    "font/woff": ((0, b"wOFF"),),
    "font/woff2": ((0, b"wOF2"),),
    "image/gif": ((0, b"GIF8"),),
    "image/jpeg": ((0, b"\xff\xd8\xff"),),
    "image/png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "image/webp": ((8, b"WEBP"),),
    "video/mp4": ((4, b"ftyp"),),
    "video/webm": ((0, b"\x1a\x45\xdf\xa3"),),
}
_PICTURES = [media_type for media_type in _BEGINNINGS if media_type.startswith("image/")]
_HEAD_BYTES = 64


def media_type_of(path: str, *, wanted_by: str) -> str:
    """Return the media type that the ending of `path` stands for.

    Raises:
        SourceInvalid: an ending that is not on the list.
    """
    found = MEDIA_TYPES.get(path.rpartition(".")[2].lower()) if "." in path else None
    if found is None:
        raise SourceInvalid(file=path, where=wanted_by, reason=N_("tablets cannot show this kind of file"))
    return found


def check_beginning(place: Path, path: str, media_type: str, *, wanted_by: str) -> None:
    """Return if the first bytes fit the media type, as far as they tell; any picture may be called like any other.

    Browsers show a picture as what it is, and a PNG that is called `.jpg` is common.

    Raises:
        SourceInvalid: they do not, for example in a document renamed to `.pdf`.
    """
    with place.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    alike = [media_type] if not media_type.startswith("image/") else _PICTURES
    wanted = [mark for one in alike for mark in _BEGINNINGS.get(one, ())] if media_type in _BEGINNINGS else []
    if wanted and not any(head[at : at + len(mark)] == mark for at, mark in wanted):
        reason = N_("the content of the file is not what the ending of its name says")
        raise SourceInvalid(file=path, where=wanted_by, reason=reason)
