"""Which known format a file is in, so that one that no importer reads yet is refused by its name.

A SCORM or H5P package has an `index.html` as often as not, and would run as a bare app without ever saying a result.
"""

from content_packs.importers.archive import Archive
from content_packs.importers.contract import Source
from content_packs.importers.xml import XML_MAX_BYTES, read_xml

UNKNOWN = "unknown"

_BEGINNINGS = {
    b"%PDF-": "PDF",
    b"ZIM\x04": "ZIM",
    b"SQLite format 3\x00": "SQLite",
    b"Rar!": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"\x1f\x8b": "gzip",
}
_MARKS = {
    "h5p.json": "H5P",
    "cmi5.xml": "cmi5",
    "tincan.xml": "xAPI",
    "META-INF/container.xml": "EPUB",
    "META-INF/manifest.xml": "OpenDocument",
    "META-INF/MANIFEST.MF": "Java",
    "AndroidManifest.xml": "Android",
    "[Content_Types].xml": "Office",
    "manifest.csv": "OneRoster",
}
_MANIFEST = "imsmanifest.xml"
_SCHEMAS = (("scorm", "SCORM"), ("common cartridge", "Common Cartridge"), ("qti", "QTI"))


def recognise(source: Source) -> str:
    """Return the name of the format of a file, `unknown` when it has no marks of one.

    Raises:
        One of the errors of `content_packs.importers.errors`.
    """
    for beginning, name in _BEGINNINGS.items():
        if source.head.startswith(beginning):
            return name
    if not source.is_zip:
        return UNKNOWN
    return _recognise_archive(source.archive)


def _recognise_archive(archive: Archive) -> str:
    """Go by the names at the top, or below the only folder there is."""
    names = {name.removeprefix(archive.top): name for name in archive.names}
    if _MANIFEST in names:
        return _name_of_manifest(archive.read(names[_MANIFEST], XML_MAX_BYTES))
    return next((name for mark, name in _MARKS.items() if mark in names), UNKNOWN)


def _name_of_manifest(content: bytes) -> str:
    """Return which format a manifest of IMS Content Packaging belongs to, by its schema and namespaces."""
    said: list[str] = []
    read_xml(content, _MANIFEST, lambda name, attributes: said.extend([name, *attributes.values()]), said.append)
    words = " ".join(said).casefold()
    known = next((name for mark, name in _SCHEMAS if mark in words), None)
    if known is None and ("adlcp" in words or "adlnet" in words):
        return "SCORM"
    return known or ("Common Cartridge" if "imscc" in words else "IMS Content Packaging")
