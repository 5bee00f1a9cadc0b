"""The verbs our own pages use, and their IRIs in xAPI statements."""

from collections.abc import Mapping
from types import MappingProxyType

_ADL = "http://adlnet.gov/expapi/verbs/"

IRIS: Mapping[str, str] = MappingProxyType(
    {
        name: _ADL + name
        for name in ("launched", "initialized", "progressed", "answered", "completed", "passed", "failed", "exited")
    }
)
VOIDED_IRI = _ADL + "voided"
_NAMES = MappingProxyType({iri: name for name, iri in IRIS.items()})


def name_of(iri: str) -> str | None:
    """Return our name of a verb, None for a verb our pages do not use."""
    return _NAMES.get(iri)


def display_of(iri: str) -> str:
    """Return a readable word for any verb: our name, or the end of its IRI."""
    return _NAMES.get(iri) or iri.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
