"""All that is known of a class, to be taken away as a file: a table of its work, and its statements.

Both are read in slices, so a file of any size takes little memory, and neither the event loop nor the writer waits for
it. They carry names or stand for those who have one: they are for the school, and no job of the box sends them.
"""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from content_packs.base.language import choose
from edgebox.domain.class_csv import BYTE_ORDER_MARK, Value, moment_cell, write_rows
from edgebox.domain.class_table import make_cell
from edgebox.services.record_store import RecordStore
from edgebox.services.teaching import ClassProgress, Learner, SchoolClass, Teaching
from edgebox.store import teaching as store
from edgebox.store.database import Database
from edgebox.store.teaching import Work

_SECOND_MS = 1000
Titles = dict[tuple[str, str], str]


class ClassRecords:
    """Files of one class each."""

    def __init__(self, database: Database, teaching: Teaching, record_store: RecordStore) -> None:
        self._database = database
        self._teaching = teaching
        self._record_store = record_store

    async def find_class(self, class_no: int) -> SchoolClass:
        """Return one class. Raises ClassUnknown."""
        return await self._teaching.school_class(class_no)

    async def write_table(
        self, class_no: int, headings: Sequence[str], languages: Sequence[str]
    ) -> AsyncIterator[bytes]:
        """Yield a table of a line for each learner and resource; who did nothing yet has one line.

        Args:
            headings: eleven, see `_line`.
            languages: of the titles, the most wanted first.

        Raises:
            ClassUnknown: before anything is yielded.
        """
        progress = await self._teaching.progress(class_no)
        titles = _titles(progress, languages)
        yield BYTE_ORDER_MARK + write_rows([headings])
        for learner in progress.learners:
            done = await self._database.read(partial(store.list_work, person_no=learner.no))
            yield write_rows([_line(learner, work, titles) for work in done] or [_line(learner, None, titles)])

    async def write_statements(self, class_no: int) -> AsyncIterator[bytes]:
        """Yield the statements of a class's learners, a line of JSON each, as `GET /xapi/statements` has them.

        The oldest come first, and none that was taken back.

        Raises:
            ClassUnknown: before anything is yielded.
        """
        await self._teaching.school_class(class_no)
        people = frozenset(learner.no for learner in await self._teaching.learners(class_no))
        start_seq: int | None = 1
        while start_seq is not None and people:
            lines, start_seq = await self._record_store.write_lines(people, start_seq)
            if lines:
                yield lines


def _titles(progress: ClassProgress, languages: Sequence[str]) -> Titles:
    return {
        (resource.pack or each.assignment.pack, resource.id): choose(resource.title, languages).value
        for each in progress.lessons
        for resource in each.resources
    }


def _line(learner: Learner, work: Work | None, titles: Titles) -> tuple[Value, ...]:
    """Return names, pack, resource, attempts, progress, completion, score, seconds, and when it was worked on."""
    names = learner.given_name, learner.family_name
    if work is None:
        return (*names, *[None] * 9)
    cell = make_cell(work.progress, work.score_scaled, is_complete=work.is_complete)
    pack, resource = work.pack or "", work.resource or work.iri
    return (
        *names,
        pack,
        titles.get((pack, resource), resource),
        work.attempts,
        cell.percent,
        int(work.is_complete),
        cell.score_percent,
        work.duration_ms // _SECOND_MS,
        moment_cell(work.first_ms),
        moment_cell(work.last_ms),
    )
