"""Lists of packs with what they are narrowed by: subject, level, language and words, page by page."""

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from edgebox.domain.catalogue import CataloguePage, Offered, Wanted, offered, page_of
from edgebox.http.resource_views import language_name
from edgebox.http.wording import language_of
from edgebox.keys import BOX

WORDS_MAX_CHARACTERS = 80
NUMBER_MAX_DIGITS = 9
FIELDS = ("subject", "level", "language", "words")


@dataclass(frozen=True)
class CatalogueView:
    """A page of the catalogue and the form above it.

    Attributes:
        offered: what may be chosen; a choice of one is none.
        languages: the names of the languages that may be chosen.
        next_href: address of the next page; empty on the last one.
        has_choice: whether there are more packs than one page has.
        is_narrowed: whether this is not simply the first page of all packs.
    """

    page: CataloguePage
    wanted: Wanted
    offered: Offered
    languages: dict[str, str]
    next_href: str
    has_choice: bool
    is_narrowed: bool


def catalogue_of(request: web.Request, limit: int, *, with_overlays: bool = False) -> CatalogueView:
    """Return the page of the catalogue that the query of a request asks for."""
    library = request.app[BOX].library
    packs = list(library.shelf.current.values()) if with_overlays else library.packs()
    query = {name: request.query.get(name, "")[:WORDS_MAX_CHARACTERS] for name in FIELDS}
    wanted, after = Wanted(**query), request.query.get("after", "")
    found = page_of(packs, wanted, [language_of(request)], after=after, limit=limit)
    offer = offered(packs)
    kept = {name: value for name, value in query.items() if value}
    return CatalogueView(
        page=found,
        wanted=wanted,
        offered=offer,
        languages={code: language_name(code) for code in offer.languages},
        next_href=f"?{urlencode(kept | {'after': found.after})}" if found.after else "",
        has_choice=len(packs) > limit,
        is_narrowed=bool(kept or after),
    )


def number_or_zero(request: web.Request, name: str) -> int:
    """Return a number of the query, 0 when it is none."""
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER_MAX_DIGITS else 0
