"""When units, blocks and the course are satisfied (cmi5 9.3.9, 13.1.4)."""

from collections.abc import Iterator, Mapping

from content_packs.format.cmi5 import Block, Course, MoveOn
from edgebox.domain.cmi5.vocabulary import Verb

WHOLE = 0  # the course, where blocks are numbered from 1


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


def satisfied(course: Course, verbs: Mapping[int, frozenset[Verb]]) -> list[int]:
    """Return the blocks that are satisfied by the verbs of each unit, inner ones first, and last `WHOLE` if all is."""
    met = {no for no, unit in enumerate(course.units, start=1) if is_met(unit.move_on, verbs.get(no, frozenset()))}
    found = list(_blocks(course.children, met))
    return [*found, WHOLE] if len(met) == len(course.units) else found


def find_block(course: Course, no: int) -> Block:
    """Return a block by its number."""
    return next(block for block in _all_blocks(course.children) if block.no == no)


def _blocks(children: tuple[Block | int, ...], met: set[int]) -> Iterator[int]:
    for child in children:
        if isinstance(child, Block):
            yield from _blocks(child.children, met)
            if set(_units(child.children)) <= met:
                yield child.no


def _units(children: tuple[Block | int, ...]) -> Iterator[int]:
    for child in children:
        if isinstance(child, Block):
            yield from _units(child.children)
        else:
            yield child


def _all_blocks(children: tuple[Block | int, ...]) -> Iterator[Block]:
    for child in children:
        if isinstance(child, Block):
            yield child
            yield from _all_blocks(child.children)
