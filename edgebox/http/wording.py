"""The language of a page: which one to use, and its words."""

import gettext
from importlib.resources import files

from aiohttp import web

from content_packs.base.language import choose
from content_packs.base.wording import LANGUAGES, accepted, read_catalogues
from edgebox.keys import SESSION

LANGUAGE_COOKIE = "edgebox_language"
# Read when the module is imported, so that no handler waits for the disk.
_CATALOGUES = read_catalogues(files("edgebox") / "web" / "locales", "edgebox")


def language_of(request: web.Request) -> str:
    """Return the interface language: chosen on this tablet, chosen by the person, or wished by the browser."""
    session = request.get(SESSION)
    wanted = [
        request.cookies.get(LANGUAGE_COOKIE, ""),
        (session.language or "") if session else "",
        *accepted(request.headers.get("Accept-Language", "")),
    ]
    return choose(LANGUAGES, [wish for wish in wanted if wish]).language


def words(language: str) -> gettext.NullTranslations:
    """Return the translations of an interface language."""
    return _CATALOGUES[language]
