"""The IRI of a thing to learn with: `urn:x-edgebox:<pack>:<resource>[:<item>]`, and what it is made of.

Box and hub read it the same way, so that what one counts for a pack the other does as well.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

_PREFIX = "urn:x-edgebox:"
_PATTERN = re.compile(r"urn:x-edgebox:([a-z0-9.-]{3,80}):([a-z0-9-]{1,80})(?::([A-Za-z0-9._~%-]{1,960}))?")
_PACK = re.compile(r"urn:x-edgebox:([a-z0-9.-]{3,80})")


@dataclass(frozen=True, slots=True)
class Activity:
    """What a statement is about.

    Attributes:
        pack: None for an activity of an outside client, as is `resource`.
        item: a part of the resource, such as one question.
    """

    iri: str
    pack: str | None = None
    resource: str | None = None
    item: str | None = None

    @property
    def whole(self) -> "Activity":
        """Return the resource that this is a part of; itself when it is no part."""
        if self.item is None or self.pack is None or self.resource is None:
            return self
        return own_activity(self.pack, self.resource)


def own_activity(pack: str, resource: str, item: str | None = None) -> Activity:
    """Return the activity of a resource, or of one item in it; an item may be any text."""
    iri = f"{_PREFIX}{pack}:{resource}"
    return Activity(f"{iri}:{quote(item, safe='')}" if item else iri, pack, resource, item)


def pack_iri(pack: str) -> str:
    """Return the IRI of a whole pack."""
    return _PREFIX + pack


def parse_pack(iri: str) -> str | None:
    """Return the pack whose IRI this is."""
    found = _PACK.fullmatch(iri)
    return found[1] if found else None


def parse_activity(iri: str) -> Activity:
    """Return the activity of an IRI; one that is not ours has no pack."""
    if not (found := _PATTERN.fullmatch(iri)):
        return Activity(iri)
    pack, resource, quoted = found.groups()
    try:
        item = unquote(quoted, errors="strict") if quoted else None
    except UnicodeDecodeError:
        return Activity(iri)
    own = own_activity(pack, resource, item)
    return own if own.iri == iri else Activity(iri)
