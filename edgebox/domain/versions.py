"""Which version of a pack somebody is shown, and which old versions may go."""

from collections.abc import Collection, Iterable

from content_packs.base.errors import N_, EdgeboxError

OPEN_MS = 4 * 3600 * 1000
"""A lesson in which a learner did something less than this long ago is open."""
SERVED_MS = 24 * 3600 * 1000
"""So long a version must have served before the one before it goes by itself."""


class PackInUse(EdgeboxError):
    """A pack that is to be removed while a class has a lesson of it, or a learner is at work in it."""

    code = "library.pack_in_use"
    status = 409
    exit_code = 105
    sentence = N_("This pack is in use: {users}.")
    remedy = N_("Take its lessons back on the page of the class, or wait until nobody has worked in it for 4 hours.")


def version_to_show(current: int, kept: Collection[int], *, opened: int | None, given: int | None) -> int:
    """Return the version a learner is shown.

    Args:
        kept: the versions on the box.
        opened: the version in which the learner is at work.
        given: the version of which a teacher gave the lesson.
    """
    return next((version for version in (opened, given) if version is not None and version in kept), current)


def retirable(
    kept: Iterable[int], pinned: Collection[int], *, served_ms: int, is_space_needed: bool = False
) -> list[int]:
    """Return the versions of one pack that may be removed now.

    Args:
        kept: the versions on the box; the highest one is never removed.
        pinned: those that a class or an open lesson uses.
        served_ms: how long the highest one has been there; below zero when the clock was set back.
    """
    older = sorted(kept)[:-1]
    if served_ms < SERVED_MS and not is_space_needed:
        return []
    return [version for version in older if version not in pinned]
