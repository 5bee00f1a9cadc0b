"""Uploads between our side and other people's programs: the protocol is tus 1.0.0, and not our idea of it."""

import asyncio
from io import BytesIO
from pathlib import Path

from tusclient.client import TusClient

from sync.bundle.read import read_ack
from tests.sync.hub_support import hub_on
from tests.sync.makers import registries
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
