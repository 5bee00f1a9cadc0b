"""The ordered list of resources of a lesson that a teacher made, as one field of a fact."""

from collections.abc import Iterable

from sync.records.kinds import VALUE_MAX_BYTES

# Stands for a pack in the assignment of such a lesson; no pack can be called that.
OWN_PACK = "_own"
Named = tuple[str, str]


def write_resources(resources: Iterable[Named]) -> str:
    """Return (pack, resource) pairs as a text: one a line, each once."""
    return "\n".join(dict.fromkeys(f"{pack}/{resource}" for pack, resource in resources))


def read_resources(text: str) -> list[Named]:
    """Return the (pack, resource) pairs of a text; a line that is none is left out."""
    pairs = [line.partition("/") for line in text.split("\n")]
    return [(pack, resource) for pack, _slash, resource in pairs if pack and resource]


def fits(resources: Iterable[Named]) -> bool:
    """Return whether a list is short enough for a field."""
    return len(write_resources(resources).encode()) <= VALUE_MAX_BYTES
