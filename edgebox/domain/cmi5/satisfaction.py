"""When units, blocks and the course are satisfied (cmi5 9.3.9, 13.1.4)."""

from collections.abc import Mapping

from content_packs.format.cmi5 import Block, Course, MoveOn
from edgebox.domain.cmi5.vocabulary import Verb

WHOLE = ""  # the course, among the ids of blocks: a publisher may give both the same


def is_met(move_on: MoveOn, verbs: frozenset[Verb]) -> bool:
    """Tell whether a unit's criterion is met by what it said in a registration, or by the box waiving it."""
    if move_on is MoveOn.NOT_APPLICABLE or Verb.WAIVED in verbs:
        return True
    completed, passed = Verb.COMPLETED in verbs, Verb.PASSED in verbs
    return {
        MoveOn.COMPLETED: completed,
        MoveOn.PASSED: passed,
        MoveOn.COMPLETED_AND_PASSED: completed and passed,
        MoveOn.COMPLETED_OR_PASSED: completed or passed,
    }[move_on]


def has_said_all(verbs: frozenset[Verb]) -> bool:
    """Tell whether nothing is left to judge of a unit in a registration, whatever satisfies it (9.3, 10.2.2)."""
    return Verb.WAIVED in verbs or {Verb.COMPLETED, Verb.PASSED} <= verbs


def satisfied(course: Course, verbs: Mapping[str, frozenset[Verb]]) -> list[Block | Course]:
    """Return the blocks that the verbs of each unit satisfy, inner ones first, and last the course if it is."""
    met = {
        no
        for no, unit in enumerate(course.units, start=1)
        if is_met(unit.move_on, verbs.get(unit.about.id, frozenset()))
    }
    found: list[Block | Course] = []
    if _collect(course.children, met, found):
        found.append(course)
    return found


def _collect(children: tuple[Block | int, ...], met: set[int], found: list[Block | Course]) -> bool:
    """Add the satisfied blocks among and in `children`, and tell whether everything there is met; each is seen once."""
    is_whole = True
    for child in children:
        is_part = _collect(child.children, met, found) if isinstance(child, Block) else child in met
        if isinstance(child, Block) and is_part:
            found.append(child)
        is_whole = is_whole and is_part
    return is_whole
