"""What a file that a learner hands in is, by its first bytes; what it calls itself is never believed."""

from collections.abc import Mapping
from types import MappingProxyType

from sync.records.sizes import TEXT_TYPE

START_BYTES = 16
ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "application/pdf": "pdf",
        "audio/mp4": "m4a",
        "audio/mpeg": "mp3",
        "audio/ogg": "ogg",
        "audio/wav": "wav",
        "image/heic": "heic",
        "image/jpeg": "jpg",
        "image/png": "png",
        "image/webp": "webp",
        "video/3gpp": "3gp",
        "video/mp4": "mp4",
        "video/quicktime": "mov",
        "video/webm": "webm",
        TEXT_TYPE: "txt",
    }
)
_STARTS = (
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# ISO base media files (ISO/IEC 14496-12, section 4.3) name what they are by a brand.
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"qt  ": "video/quicktime",
}
_BRAND_3GP = b"3gp"


def media_type_of(start: bytes) -> str | None:
    """Return the media type of a photo, a recording or a PDF that begins like this; None for anything else."""
    for magic, media_type in _STARTS:
        if start.startswith(magic):
            return media_type
    brand = start[8:12]
    if start.startswith(b"RIFF"):
        return _RIFF.get(brand)
    if start[4:8] == b"ftyp" and len(brand) == 4:
        return _BRANDS.get(brand, "video/3gpp" if brand.startswith(_BRAND_3GP) else "video/mp4")
    return None
