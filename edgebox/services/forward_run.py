"""One run of forwarding: batches in the order of the log until everything is sent or something is in the way."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from edgebox.domain import forwarding as rules
from edgebox.domain.forwarding import (
    Aside,
    Batch,
    Cause,
    ForwardDenied,
    ForwardUnproven,
    Item,
    Move,
    Verdict,
    error_of_status,
    move_through,
)
from edgebox.domain.xapi.places import attachments_of, hashes_of
from edgebox.domain.xapi.signature import must_come
from edgebox.services.attachments import Attachments
from edgebox.services.line import Line, LinePaused
from edgebox.store import forwards
from edgebox.store.database import Database
from edgebox.store.forwards import Target
from sync.engine.lanes import Lane
from sync.engine.sender import LONGEST_WAIT_MS
from sync.transport.records import Answer, File

# What headers and an answer may add to a request, and what a question comes to.
_ASK_BYTES = 2 * 1024
_FAILURES_MAX = 30
_NOT_FOUND = 404


class Link(Protocol):
    """A record store; see `sync.transport.records.RecordLink`."""

    async def store(self, content: bytes, files: Sequence[File] = ()) -> Answer:
        """Post statements."""

    async def find(self, statement_id: str, *, is_void: bool = False) -> Answer:
        """Ask for one statement."""

    async def close(self) -> None:
        """Close the connection."""


class TargetGone(Exception):
    """Staff paused it, ended it or chose another store meanwhile."""


class ForwardRun:
    """Sends to one store; made anew for every run."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        line: Line,
        files: Attachments,
        link: Link,
        target: Target,
        *,
        is_asked: bool,
    ) -> None:
        """Take what to send with; `is_asked` by a person, so the hours of the line do not matter."""
        self._database = database
        self._clock = clock
        self._line = line
        self._files = files
        self._link = link
        self._target = target
        self._is_asked = is_asked
        self._seq = target.seq
        self._failures = target.failures
        self._retry_after = ""
        self._wants_proof = is_asked or target.failures > 0

    async def deliver_all(self, home_page: str) -> None:
        """Send everything that waits.

        Raises:
            TargetGone
            LinePaused, RecordsUnreached, ForwardDenied, ForwardRefused, ForwardBusy, ForwardCaptured: not now.
            StoreUnavailable: the disk of the box refused.
        """
        while (batch := await self._next(home_page)) is not None:
            if batch.sendable:
                await self._deliver(batch, batch.sendable)
            if self._seq < batch.through_seq:
                await self._move(move_through(batch, self._seq, batch.through_seq))

    async def _next(self, home_page: str) -> Batch | None:
        target = await self._database.read(forwards.find_target)
        if target is None or target.no != self._target.no or target.is_paused:
            raise TargetGone
        return await self._database.read(partial(forwards.read_batch, target=target, home_page=home_page))

    async def _deliver(self, batch: Batch, items: Sequence[Item]) -> None:
        files = await self._files_of(items[0]) if items[0].has_files else []
        if isinstance(files, Cause):
            await self._put_aside(batch, items[0], files)
            return
        answer = await self._post(items, files)
        if answer is None:
            await self._halve(batch, items)
            return
        is_listed = rules.lists_all(answer.body, items)
        verdict = rules.judge(answer.status_no, count=len(items), is_listed=is_listed)
        if verdict is Verdict.HALVE:
            await self._halve(batch, items)
        elif verdict is Verdict.TAKEN or (verdict is Verdict.COMPARE and await self._has_same(items[0])):
            self._wants_proof, self._failures = True, 0
            await self._move(move_through(batch, self._seq, items[-1].seq, sent=items))
        elif verdict in (Verdict.ASIDE, Verdict.COMPARE):
            await self._put_aside(batch, items[0], rules.cause_of(answer.status_no), rules.reason_of(answer.body))
        else:
            self._retry_after = answer.retry_after
            raise error_of_status(answer.status_no)

    async def _halve(self, batch: Batch, items: Sequence[Item]) -> None:
        middle = len(items) // 2
        await self._deliver(batch, items[:middle])
        await self._deliver(batch, items[middle:])

    async def _post(self, items: Sequence[Item], files: Sequence[File]) -> Answer | None:
        """Return the store's answer; None when the line has no room for so many, but may have for fewer."""
        body = rules.write_body(items)
        size_bytes = len(body) + sum(file.size_bytes for file in files) + _ASK_BYTES
        turn = self._line.turn(Lane.TELEMETRY, size_bytes, is_asked=self._is_asked, is_whole=True)
        async with turn as granted_bytes:
            if granted_bytes >= size_bytes:
                return await self._link.store(body, files)
        if len(items) > 1:
            return None
        raise LinePaused(lane=int(Lane.TELEMETRY))

    async def _find(self, id_: bytes) -> Answer:
        """Return the store's answer to a question for a statement, which it may have seen taken back."""
        async with self._line.turn(Lane.TELEMETRY, _ASK_BYTES, is_asked=self._is_asked):
            named = ids.format_uuid(id_)
            answer = await self._link.find(named)
            return await self._link.find(named, is_void=True) if answer.status_no == _NOT_FOUND else answer

    async def _has_same(self, item: Item) -> bool:
        """Return whether the store has this very statement under its id.

        Raises:
            ForwardBusy: it does not say so now.
        """
        answer = await self._find(item.id)
        if rules.is_later(answer.status_no):
            self._retry_after = answer.retry_after
            raise error_of_status(answer.status_no)
        return answer.status_no == 200 and rules.is_same(answer.body, item)

    async def _files_of(self, item: Item) -> list[File] | Cause:
        """Return the files that go with a statement, or why it cannot go."""
        try:
            return await self._find_files(item)
        except OSError:
            return Cause.FILE_MISSING

    async def _find_files(self, item: Item) -> list[File] | Cause:
        statement = json.loads(item.content)
        found = await self._files.find({item.id: hashes_of(statement)})
        named = {one.sha2 for one in found}
        if any(must_come(one) and one["sha2"].lower() not in named for one in attachments_of(statement)):
            return Cause.FILE_MISSING
        paths = [self._files.path_of(one.sha2) for one in found]
        sizes = await asyncio.to_thread(lambda: [path.stat().st_size for path in paths])
        if sum(sizes) > rules.FILES_MAX_BYTES:
            return Cause.FILE_TOO_LARGE
        return [
            File(path, one.sha2, one.content_type, size_bytes)
            for path, one, size_bytes in zip(paths, found, sizes, strict=True)
        ]

    async def _put_aside(self, batch: Batch, item: Item, cause: Cause, reason: str = "") -> None:
        await self._move(move_through(batch, self._seq, item.seq, aside=Aside(item.seq, item.id, cause, reason)))

    async def _move(self, step: Move) -> None:
        now_ms = self._clock.now_ms()
        is_moved = await self._database.write(lambda connection: forwards.move(connection, self._target, step, now_ms))
        if not is_moved:
            raise TargetGone
        self._seq = step.through_seq

    async def prove(self) -> None:
        """Ask for the last statement that the store took, if it was not asked for yet.

        Raises:
            ForwardUnproven: it does not give it.
            LinePaused, RecordsUnreached
        """
        progress = await self._database.read(forwards.find_progress)
        if progress is None or progress.last_id is None or progress.is_proven or not self._wants_proof:
            return
        answer = await self._find(progress.last_id)
        if answer.status_no != 200 or not rules.is_statement(answer.body, progress.last_id):
            raise ForwardUnproven(status_no=answer.status_no)
        proof = (self._target, progress.last_seq, progress.last_id, self._clock.now_ms())
        await self._database.write(lambda connection: forwards.note_proof(connection, *proof))

    async def note(self, error: EdgeboxError) -> None:
        """Keep what was in the way, and when to try again."""
        now_ms, is_denied = self._clock.now_ms(), isinstance(error, ForwardDenied)
        failures, next_try_ms = self._failures, None
        if isinstance(error, LinePaused):
            next_try_ms = max(self._line.next_ms(Lane.TELEMETRY), now_ms + LONGEST_WAIT_MS)
        elif not is_denied and not isinstance(error, ForwardUnproven):
            failures = min(failures + 1, _FAILURES_MAX)
            asked_ms = rules.parse_retry_after(self._retry_after, now_ms)
            next_try_ms = rules.next_try_ms(error, failures, ids.random_unit(), now_ms, asked_ms)
        failure = (self._target, error.as_record(), failures, next_try_ms)
        await self._database.write(lambda connection: forwards.note_failure(connection, *failure, is_denied=is_denied))
