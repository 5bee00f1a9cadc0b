"""One bundle on its way to the hub: does what `sync.engine.transfer` says, with sockets.

The next slice is decided in `_send_body` and nowhere else, and its bytes go to the socket in `_send_slice`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.fetch.pulse import Pulse
from sync.bundle.layout import start_bytes, upload_name
from sync.bundle.limits import ACK_MAX_BYTES
from sync.engine import transfer
from sync.engine.transfer import Action, Event, Phase, Transfer
from sync.transport.answers import JSON_TYPE, read_base64, read_record, refusal
from sync.transport.connection import Answer, Connection
from sync.transport.errors import LinkCaptured, LinkDown
from sync.transport.tus import (
    ACK_TYPE,
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    OFFSETS_TYPE,
    TUS_RESUMABLE,
    TUS_VERSION,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
    UPLOAD_TYPE,
    UPLOADS_PATH,
)
from sync.transport.way import UploadsUnknown, Way

LISTEN_SECONDS = 0.25
# On a line that is slowed down, what goes at once is followed by a rest, which must be shorter than the hub's patience.
TURN_BYTES = 16 * 1024
DRAIN_SECONDS = 2 * HEARTBEAT_SECONDS + 1
CONNECT_PATIENCE = 2
LINE_MAX_BYTES = 16 * 1024
_GONE = frozenset({404, 410})
_MOVED = frozenset({408, 409})
_ABSENT = frozenset({404, 405})
_SIGN_IN = 511  # RFC 6585, 6


class Upload:
    """Run it once. `on_stored` hears how many bytes are durable at the hub."""

    def __init__(
        self, way: Way, bundle: bytes, clock: Clock, *, is_begun: bool, on_stored: Callable[[int], None]
    ) -> None:
        self._way = way
        self._bundle = bundle
        self._clock = clock
        self._on_stored = on_stored
        self._transfer = Transfer(len(bundle), is_begun=is_begun, is_held_back=way.is_held_back)
        self._place = f"{UPLOADS_PATH}/{upload_name(bundle[: start_bytes(bundle)])}"
        self._connection: Connection | None = None
        self._spare: asyncio.Task[Connection] | None = None
        self._spare_began_ms = 0
        self._told = asyncio.Event()
        self._is_resting = False
        self._error: EdgeboxError = LinkDown(reason=N_("the line broke"))
        self._ack = b""

    async def run(self) -> bytes:
        """Return what the hub said to the whole bundle; its signature is for the caller to check.

        Raises:
            LinkDown: several connections brought nothing; what is stored stays so.
            LinkCaptured: somebody else answered.
            HubRefused, HubBusy: the hub did, with no.
            EdgeboxError: what the turn of the wire raised; what the hub has by then stays stored.
            UploadsUnknown: the hub knows no resumable uploads.
        """
        try:
            action = self._on(transfer.Begun())
            while not isinstance(action, transfer.Finish):
                action = await self._perform(action)
            return self._ack
        finally:
            self._way.is_held_back = self._transfer.is_held_back
            await self._drop_spare()
            await self._leave()

    def _on(self, event: Event) -> Action | None:
        before = self._transfer.phase, self._transfer.stored_bytes
        self._transfer, action = self._transfer.on(event)
        if self._transfer.stored_bytes != before[1]:
            self._on_stored(self._transfer.stored_bytes)
        if self._transfer.phase is not before[0]:
            self._told.set()
        return action

    async def _perform(self, action: Action | None) -> Action | None:
        match action:
            case transfer.Wait(duration_ms):
                await self._leave()
                await asyncio.sleep(duration_ms / 1000)
                return self._on(transfer.Due())
            case transfer.Connect():
                return await self._connect()
            case transfer.Ask(is_on_spare):
                if is_on_spare:
                    await self._take_spare()
                return await self._guarded(self._ask())
            case transfer.Create() | transfer.Append():
                return await self._guarded(self._send(action))
            case transfer.Collect():
                return await self._guarded(self._collect())
            case _:  # GiveUp; nothing else is asked for between two requests
                raise self._error

    async def _connect(self) -> Action | None:
        await self._leave()
        # One that is being made already, beside a connection that died, is as good as a new one.
        self._start_spare()
        assert self._spare is not None
        try:
            self._connection = await self._spare
        except LinkDown as error:
            return self._lost(error)
        finally:
            self._spare = None
        return self._on(transfer.Connected(self._now_ms()))

    async def _guarded(self, request: Coroutine[Any, Any, Event]) -> Action | None:
        """Do a request until it is over, or until the line is found dead, or another connection alive."""
        task = asyncio.ensure_future(request)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=LISTEN_SECONDS)
                if not task.done() and (action := await self._listen()) is not None:
                    return action
            return self._on(task.result())
        except LinkDown as error:
            return self._lost(error)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, EdgeboxError, UploadsUnknown):
                await task

    async def _listen(self) -> Action | None:
        """Tell the machine what the socket knows; return what it wants if that ends the request."""
        assert self._connection is not None
        if self._is_resting:
            return None
        now_ms = self._now_ms()
        if (found := self._connection.measure()) is not None:
            if found.packets:
                self._way.round_trip_ms = found.round_trip_ms
            action = self._on(
                transfer.Listened(
                    now_ms, found.packets, found.round_trip_ms, found.queue_ms, found.is_outstanding, _random_unit()
                )
            )
        else:
            received = self._connection.received_bytes
            action = self._on(transfer.Listened(now_ms, received, 0, 0, False, _random_unit()))
        if isinstance(action, transfer.Probe):
            self._start_spare()
            action = None
        if action is None and self._spare is not None and self._spare.done():
            action = await self._judge_spare()
        if action is not None:
            self._error = LinkDown(reason=N_("it went silent"), fault="silence")
        return action

    async def _judge_spare(self) -> Action | None:
        assert self._spare is not None
        if self._spare.exception() is not None:
            self._spare = None
            return None
        action = self._on(transfer.Reachable(self._now_ms(), self._spare_began_ms))
        if isinstance(action, transfer.Drop):
            await self._drop_spare()
            return None
        return action

    def _start_spare(self) -> None:
        if self._spare is None:
            self._spare_began_ms = self._now_ms()
            pulse = Pulse(0, round_trip_ms=self._way.round_trip_ms, patience=self._transfer.failures)
            seconds = CONNECT_PATIENCE * pulse.silence_max_ms / 1000
            self._spare = asyncio.ensure_future(self._way.connect(seconds))

    async def _take_spare(self) -> None:
        assert self._spare is not None
        connection, self._spare = self._spare.result(), None
        await self._leave()
        self._connection = connection

    async def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.cancel()
            with suppress(asyncio.CancelledError, EdgeboxError):
                await (await self._spare).close()
            self._spare = None

    async def _leave(self) -> None:
        if self._connection is not None:
            self._way.sent_bytes += self._connection.sent_bytes
            self._way.received_bytes += self._connection.received_bytes
            await self._connection.close()
            self._connection = None

    async def _ask(self) -> Event:
        connection, answer = await self._request("HEAD", {})
        if answer.status in _GONE:
            await connection.read_body(LINE_MAX_BYTES)
            return transfer.Unknown(self._now_ms(), _random_unit())
        return await self._over(answer)

    async def _collect(self) -> Event:
        _, answer = await self._request("GET", {"Accept": ACK_TYPE})
        return await self._over(answer)

    async def _request(self, method: str, headers: dict[str, str]) -> tuple[Connection, Answer]:
        """Return the answer to a request without a body, and the connection it came on."""
        connection = self._reusable()
        await connection.begin(method, self._place, {TUS_RESUMABLE: TUS_VERSION, **headers})
        await connection.end()
        return connection, await connection.read_answer()

    async def _send(self, action: transfer.Create | transfer.Append) -> Event:
        """Send bytes in one request, and hear what comes back meanwhile and at its end."""
        connection, start = self._reusable(), action.start if isinstance(action, transfer.Append) else None
        headers = {
            TUS_RESUMABLE: TUS_VERSION,
            "Content-Type": UPLOAD_TYPE,
            "Content-Length": str(action.end - (start or 0)),
            "Accept": ACK_TYPE,
        }
        if self._transfer.phase is Phase.OPENING:
            headers[HEARTBEAT] = str(HEARTBEAT_SECONDS)
        if start is None:
            await connection.begin("POST", UPLOADS_PATH, headers | {UPLOAD_LENGTH: str(len(self._bundle))})
        else:
            await connection.begin("PATCH", self._place, headers | {UPLOAD_OFFSET: str(start)})
        event = await self._exchange(connection, action.end)
        if isinstance(event, transfer.Stored) and start is not None and start == event.stored_bytes < action.end:
            raise LinkDown(reason=N_("the line broke"), fault="no progress")
        return event

    async def _exchange(self, connection: Connection, end: int) -> Event:
        """Send a body while its answer is heard: an answer may come early, and the line may close before the end."""
        sending = asyncio.ensure_future(self._send_body(connection, end))
        hearing = asyncio.ensure_future(self._hear(connection))
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not hearing.done() and not isinstance(sending.exception(), LinkDown | None):
                await self._drain()
                sending.result()
            return await hearing
        finally:
            for task in (sending, hearing):
                task.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)

    async def _drain(self) -> None:
        """Wait until the hub has what is on its way to it: what is not stored would be sent, and paid, once more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._transfer.stored_bytes < self._transfer.sent_bytes:
                    self._told.clear()
                    await self._told.wait()

    async def _send_body(self, connection: Connection, end: int) -> None:
        """Send slice after slice, each when the machine allows it."""
        while self._transfer.sent_bytes < end:
            self._told.clear()
            if (part := self._transfer.next_slice()) is None:
                await self._told.wait()
            else:
                await self._send_slice(connection, *part)
        await connection.end()

    async def _send_slice(self, connection: Connection, start: int, end: int) -> None:
        """Send as much as the line has for us, once it is our turn."""
        self._is_resting, asked_ms = True, self._now_ms()
        try:
            async with self._way.turn(min(end - start, TURN_BYTES)) as granted_bytes:
                self._is_resting = False
                if (now_ms := self._now_ms()) > asked_ms:
                    self._on(transfer.Rested(now_ms))
                await connection.write(self._bundle[start : start + granted_bytes])
                self._on(transfer.Sent(granted_bytes))
        finally:
            self._is_resting = False

    async def _hear(self, connection: Connection) -> Event:
        answer = await connection.read_answer()
        self._learn_place(answer)
        if answer.media_type == OFFSETS_TYPE:
            return await self._hear_offsets(connection)
        return await self._over(answer)

    async def _hear_offsets(self, connection: Connection) -> Event:
        """Pass on the offsets that come down, until the ack or an error is there."""
        rest = b""
        while part := await connection.read_part():
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                record = read_record(line)
                if isinstance(record.get("offset"), int):
                    self._on(transfer.Told(self._now_ms(), self._offset(record["offset"])))
                    self._told.set()
                elif "ack" in record:
                    self._ack = read_base64(record["ack"])
                    return transfer.Accepted()
                else:
                    self._refuse(record)
            if len(rest) > LINE_MAX_BYTES:
                raise LinkCaptured(reason="too long")
        raise LinkDown(reason=N_("the line broke"), fault="end of offsets")

    def _refuse(self, record: dict[str, Any]) -> None:
        """Raise what the hub says in the middle of an answer that had begun well."""
        error = record.get("error")
        status, code = record.get("status"), error.get("code") if isinstance(error, dict) else None
        if not isinstance(status, int) or not isinstance(code, str):
            raise LinkCaptured(reason=OFFSETS_TYPE)
        if status in _MOVED:
            raise LinkDown(reason=N_("the line broke"), fault=code)
        raise refusal(status, code[:80])

    async def _over(self, answer: Answer) -> Event:
        """Return what an answer says to a request that is over.

        Raises:
            LinkDown: the hub was not where it was thought to be. LinkCaptured: this is no hub. HubRefused, HubBusy.
        """
        assert self._connection is not None
        is_tus = answer.headers.get(TUS_RESUMABLE.lower()) == TUS_VERSION
        if answer.status == 200 and answer.media_type == ACK_TYPE:
            self._ack = await self._connection.read_body(ACK_MAX_BYTES)
            return transfer.Accepted()
        if is_tus and answer.status in (200, 201, 204):
            await self._connection.read_body(LINE_MAX_BYTES)
            return transfer.Stored(self._now_ms(), self._offset(answer.headers.get(UPLOAD_OFFSET.lower(), "0")))
        if is_tus and answer.status in _GONE:
            return transfer.Unknown(self._now_ms(), _random_unit())
        if is_tus and answer.status in _MOVED:
            raise LinkDown(reason=N_("the line broke"), fault=f"status {answer.status}")
        code, is_json = f"status {answer.status}", answer.media_type == JSON_TYPE
        if answer.status < 400 or answer.status == _SIGN_IN:
            raise LinkCaptured(reason=answer.media_type[:40] or code)
        if is_json:
            # An answer to HEAD says no more than its status.
            body = await self._connection.read_body(LINE_MAX_BYTES)
            code = str(read_record(body or b"{}").get("code", code))[:80]
            if not is_tus and answer.status in _ABSENT:
                raise UploadsUnknown
        raise refusal(answer.status, code, is_json=is_json)

    def _learn_place(self, answer: Answer) -> None:
        """Take over the address of the upload, unless it is at another place than the hub."""
        if location := answer.headers.get("location"):
            base = f"//{self._way.address.authority}{self._way.address.path}{UPLOADS_PATH}"
            parts = urlsplit(urljoin(base, location))
            if parts.netloc != self._way.address.authority:
                raise LinkCaptured(reason=f"status {answer.status}")
            self._place = parts.path

    def _offset(self, said: object) -> int:
        try:
            offset = int(str(said))
        except ValueError as error:
            raise LinkCaptured(reason=UPLOAD_OFFSET) from error
        if not 0 <= offset <= len(self._bundle):
            raise LinkCaptured(reason=UPLOAD_OFFSET)
        return offset

    def _reusable(self) -> Connection:
        if self._connection is None or not self._connection.is_reusable:
            raise LinkDown(reason=N_("the line broke"), fault="closed")
        return self._connection

    def _lost(self, error: LinkDown) -> Action | None:
        self._error = error
        return self._on(transfer.Lost(self._now_ms(), _random_unit()))

    def _now_ms(self) -> int:
        return self._clock.monotonic_ms()


def _random_unit() -> float:
    return int.from_bytes(ids.random_bytes(4), "big") / (1 << 32)
