"""Both ends of the control socket: one JSON line asks, lines of progress follow, one line of result or error ends it.

The socket is a file that only the box's own user may open. Its address is taken through the data folder's descriptor,
because a socket address holds at most 107 bytes and a data folder may be deeper than that.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from content_packs.base.errors import N_, EdgeboxError, all_error_classes
from edgebox.control.operations import OPERATIONS, Progress
from edgebox.keys import Box

log = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
LINE_MAX_BYTES = 1024 * 1024


class OperationUnknown(EdgeboxError):
    """The running box does not know what it is asked."""

    code = "control.operation_unknown"
    status = 400
    exit_code = 63
    sentence = N_("The running box does not know the command {operation}.")
    remedy = N_("It is probably an older version: restart it.")


class BoxNotRunning(EdgeboxError):
    """Nobody answers on the control socket."""

    code = "control.box_not_running"
    status = 503
    exit_code = 64
    retryable = True
    sentence = N_("No box is running on this folder.")
    remedy = N_("Start it with: edgebox serve")


class RemoteFault(EdgeboxError):
    """The running box failed in a way this program has no class for."""

    code = "control.remote_fault"
    exit_code = 65
    sentence = N_("The running box answered: {remote_code}.")
    remedy = N_("Look into the box's log.")


@asynccontextmanager
async def listen(box: Box) -> AsyncIterator[None]:
    """Answer on the control socket while the context is open."""
    path = box.settings.data / SOCKET_NAME
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _short_address(path) as address:
        listener.bind(address)
        path.chmod(0o600)
    # Not `start_unix_server`: since Python 3.13 it removes the file by its address, which is short-lived here.
    server = await asyncio.start_server(
        lambda reader, writer: _serve(box, reader, writer), sock=listener, limit=LINE_MAX_BYTES
    )
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def ask(data: Path, operation: str, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Let the box that runs on `data` do an operation, and return its result.

    Raises:
        BoxNotRunning: nobody listens.
        EdgeboxError: what the operation raised over there, as its own class.
    """
    with _short_address(data / SOCKET_NAME) as address:
        try:
            reader, writer = await asyncio.open_unix_connection(address, limit=LINE_MAX_BYTES)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise BoxNotRunning from error
    try:
        writer.write(json.dumps({"operation": operation, "arguments": arguments}).encode() + b"\n")
        async for line in reader:
            answer = json.loads(line)
            if "progress" in answer:
                progress(answer["progress"])
                continue
            return _result(answer)
    finally:
        writer.close()
    raise BoxNotRunning


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" not in answer:
        result: dict[str, Any] = answer["result"]
        return result
    record = answer["error"]
    for error_class in all_error_classes():
        if error_class.code == record["code"]:
            raise error_class(**record["fields"])
    raise RemoteFault(remote_code=record["code"])


async def _serve(box: Box, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        request = json.loads(await reader.readline())
        answer = await _perform(box, request, lambda value: _send(writer, {"progress": value}))
        _send(writer, answer)
        await writer.drain()
    except (ConnectionError, ValueError):
        return
    finally:
        writer.close()


async def _perform(box: Box, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    try:
        operation = OPERATIONS.get(request["operation"])
        if operation is None:
            raise OperationUnknown(operation=request["operation"])
        return {"result": await operation(box, request["arguments"], progress)}
    except EdgeboxError as error:
        return {"error": error.as_record()}
    except Exception as error:
        log.exception("control.fault operation=%s", request.get("operation"))
        return {"error": RemoteFault(remote_code=type(error).__name__).as_record()}


def _send(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value, default=str).encode() + b"\n")


@contextmanager
def _short_address(path: Path) -> Iterator[str]:
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise BoxNotRunning from error
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
