"""The one way in which an importer reads XML: no document type, so no entities, and bounded in size and depth."""

from collections.abc import Callable
from typing import NoReturn
from xml.parsers import expat

from content_packs.importers.entry_names import shown
from content_packs.importers.errors import XmlRefused

XML_MAX_BYTES = 4 * 1024**2
DEPTH_MAX = 100

OnElement = Callable[[str, dict[str, str]], None]


class _Refused(Exception):
    """Raised inside the parser, which passes it on."""


def read_xml(
    content: bytes,
    file: str,
    on_element: OnElement,
    on_text: Callable[[str], None],
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Tell every element, with its namespace before a space, every text, and where elements end, in order.

    Raises:
        XmlRefused: too large, too deep, with a document type, or no XML.
    """
    if len(content) > XML_MAX_BYTES:
        raise XmlRefused(name=shown(file), reason="size")
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise _Refused("depth")
        on_element(name, attributes)

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1
        on_end()

    def refuse(*_arguments: object) -> NoReturn:
        raise _Refused("document type")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, on_text
    try:
        parser.Parse(content, True)
    except _Refused as error:
        raise XmlRefused(name=shown(file), reason=str(error)) from error
    except (expat.ExpatError, LookupError, ValueError, OSError) as error:
        raise XmlRefused(name=shown(file), reason="not XML") from error
