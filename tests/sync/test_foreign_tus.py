"""Uploads between our side and other people's programs: the protocol is tus 1.0.0, and not our idea of it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from tusclient.client import TusClient

from sync.bundle.read import read_ack
from sync.transport.errors import HubRefused
from sync.transport.http import HttpTransport
from tests.sync.hub_support import hub_on
from tests.sync.makers import Maker, registries
from tests.sync.test_hub_uploads import ask, long_records, statements


async def test_a_client_of_tus_uploads_a_bundle_in_pieces_and_goes_on_after_a_break(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        content = maker.next(long_records())

        def upload(stop_at: int | None, url: str | None = None) -> str:
            uploader = TusClient(hub.url + "/api/uploads").uploader(
                file_stream=BytesIO(content), chunk_size=6_000, url=url, metadata={"filename": "1-1.eb"}
            )
            uploader.upload(stop_at=stop_at)
            return str(uploader.url)

        url = await asyncio.to_thread(upload, 12_000)
        assert await statements(hub) == 0
        assert await asyncio.to_thread(upload, None, url) == url
        assert await statements(hub) == 400
        _, _, body = await ask(hub, "GET", url.removeprefix(hub.url))
        assert read_ack(body, hub.listening.hub.keys.signing.verify_key).vector.through_seq == 1


async def test_a_client_of_tus_sends_a_checksum_with_every_piece(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        content = maker.next(registries())

        def upload() -> None:
            client = TusClient(hub.url + "/api/uploads")
            client.uploader(file_stream=BytesIO(content), upload_checksum=True).upload()

        await asyncio.to_thread(upload)
        assert await hub.rows("SELECT seq FROM bundle") == [(1,)]


SERVER = """
import socket, sys, uvicorn
from fastapi import FastAPI
from tuspyserver import create_tus_router
app = FastAPI()
app.include_router(create_tus_router(prefix="api/uploads", files_dir=sys.argv[1]))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listener])
"""


@pytest.fixture
async def server_port(tmp_path: Path) -> AsyncIterator[int]:
    """Run a server of tus that is nobody's hub."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    yield int(await child.stdout.readline())
    child.kill()
    await child.wait()


async def test_a_server_of_tus_gets_every_byte_slice_by_slice_and_is_not_believed(
    server_port: int, tmp_path: Path, hasty: None
) -> None:
    content = Maker().next(long_records(300, noise_bytes=1_000))
    transport = HttpTransport(f"http://127.0.0.1:{server_port}")
    with pytest.raises(HubRefused):
        await transport.deliver(content)
    await transport.close()
    stored = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert content in stored
