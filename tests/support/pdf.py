"""PDF documents written by hand, good and hostile."""

import zlib


def make_pdf(pages: list[str], *, size: str = "595 842", stream: bytes | None = None) -> bytes:
    """Return a document with one line of text per page; `stream` replaces the drawing of all pages."""
    objects: list[bytes] = [b"", b""]
    kids = []
    for text in pages:
        drawing = stream if stream is not None else f"BT /F 24 Tf 60 700 Td ({text}) Tj ET".encode()
        packed = zlib.compress(drawing, 9)
        objects.append(b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed))
        kids.append(len(objects) + 1)
        font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %s]/Contents %d 0 R/Resources<</Font<</F %s>>>>>>"
            % (size.encode(), len(objects), font)
        )
    objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
    listed = " ".join(f"{kid} 0 R" for kid in kids).encode()
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), listed)
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    content = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return content + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
