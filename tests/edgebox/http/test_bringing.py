"""A teacher brings a file: by upload or on a stick, it becomes a pack of this school or is refused by name."""

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import FormData

from content_packs.installer import DiskSpace
from edgebox.app import Part, running_box
from edgebox.http import bringing
from edgebox.store.jobs import JobState
from tests.support.box import School, make_school
from tests.support.raw_zip import Raw, make_zip
from tests.support.site import Browser, Site, site_with_sticks
from tests.support.web_app import zipped_app

LINK = make_zip([Raw("index.html", b"<p>x</p>"), Raw("l.js", b"/etc/passwd", mode=0o120777)])
PLAIN = make_zip([Raw("index.html", b"<!doctype html><html lang=en><title>Plain</title><p>x</p>")])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    def put_in(_school: School) -> None:
        (tmp_path / "media" / "STICK" / "edgebox").mkdir(parents=True)

    async with site_with_sticks(tmp_path, put_in) as site:
        await site.box.local_packs.allow_scripts(on=True)
        yield site


async def upload(browser: Browser, content: bytes, *, csrf: str | None = None, **fields: str) -> tuple[int, str]:
    form = FormData()
    form.add_field("csrf", await browser.csrf() if csrf is None else csrf)
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("file", content, filename="../../La classe été.zip", content_type="application/zip")
    async with browser.session.post(
        f"{browser.address}/staff/packs/upload",
        data=form,
        headers={"Accept": "text/html", "Origin": browser.address},
        allow_redirects=False,
    ) as response:
        return response.status, await response.text()


async def last_job(site: Site) -> tuple[JobState, str, int]:
    no = (await site.box.loading.recent())[0].no
    job = [job async for job in site.box.loading.watch(no)][-1]
    return job.state, job.pack, job.version


async def left(site: Site) -> list[str]:
    """Return what is in the folders of imports, once nothing is watched any more."""
    await asyncio.gather(*site.box.importing._watching)
    folders = (site.box.settings.staging, site.box.settings.data / "local")
    return await asyncio.to_thread(lambda: [str(path) for folder in folders for path in folder.glob("*")])


async def test_an_uploaded_app_is_installed_as_a_pack_of_this_school(site: Site) -> None:
    async with site.teacher() as teacher:
        status, text = await upload(teacher, zipped_app(), level="Primary 3")
        assert status == 200
        assert "it makes code" not in text
        assert "README.md" in text
        state, pack, version = await last_job(site)
        assert (state, version) == (JobState.DONE, 1)
        assert pack.startswith(f"local.{site.box.identity.box_id.hex()[:8]}.")
        shelved = site.box.library.shelf.current[pack]
        assert shelved.signer == site.box.identity.box_id
        assert (dict(shelved.title), shelved.educational_level) == ({"fr": "La bouilloire"}, "Primary 3")
        assert await left(site) == []
        _, text = await teacher.get("/staff/packs")
        assert "La bouilloire" in text


async def test_the_same_title_again_is_the_next_version(site: Site) -> None:
    async with site.teacher() as teacher:
        for version in (1, 2):
            assert (await upload(teacher, PLAIN))[0] == 303
            assert (await last_job(site))[2] == version
        assert (await upload(teacher, PLAIN, title="Other"))[0] == 303
        assert (await last_job(site))[2] == 1


async def test_a_school_that_allows_no_programs_gets_none(site: Site) -> None:
    await site.box.local_packs.allow_scripts(on=False)
    async with site.teacher() as teacher:
        _, text = await teacher.get("/staff/packs")
        assert "Programs are not allowed in packs made at this school." in text
        status, text = await upload(teacher, PLAIN)
        assert status == 403
        assert "cannot be loaded as a pack made at this school" in text
        assert await site.box.loading.recent() == []
        assert await left(site) == []


async def test_two_titles_in_another_script_are_two_packs(site: Site) -> None:
    async with site.teacher() as teacher:
        for title in ("الكسور", "الأشكال"):
            assert (await upload(teacher, PLAIN, title=title))[0] == 303
            assert (await last_job(site))[2] == 1
    assert len(site.box.library.shelf.current) == 2


async def test_an_archive_that_breaks_a_rule_is_refused_by_name_and_leaves_nothing(site: Site) -> None:
    async with site.teacher() as teacher:
        status, text = await upload(teacher, LINK)
        assert status == 422
        assert "“l.js” is a link, not a file." in text
        assert await site.box.loading.recent() == []
        assert await left(site) == []


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"PK\x03\x04 cut short"])
async def test_what_is_no_app_is_refused(site: Site, content: bytes) -> None:
    async with site.teacher() as teacher:
        assert (await upload(teacher, content))[0] in (415, 422)
        assert await left(site) == []


async def test_a_strange_page_cannot_bring_a_file(site: Site) -> None:
    async with site.teacher() as teacher:
        assert (await upload(teacher, PLAIN, csrf="x" * 40))[0] == 403
        assert await site.box.loading.recent() == []
        assert not site.box.settings.staging.exists() or await left(site) == []


async def test_a_form_without_a_file_or_of_another_type_is_refused(site: Site) -> None:
    async with site.teacher() as teacher:
        form = FormData()
        form.add_field("csrf", await teacher.csrf(), content_type="text/plain")
        headers = {"Accept": "text/html", "Origin": teacher.address}
        for body in (form, {"csrf": "x"}, b"--x\r\n"):
            async with teacher.session.post(
                f"{teacher.address}/staff/packs/upload", data=body, headers=headers
            ) as response:
                assert response.status == 400
        assert await left(site) == []


async def test_a_file_over_the_limit_is_not_taken_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringing, "UPLOAD_MAX_BYTES", 100)
    async with site.teacher() as teacher:
        assert (await upload(teacher, zipped_app()))[0] == 413
        assert await left(site) == []


async def test_a_box_without_space_says_so_before_it_takes_anything_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.box.loading, "_measure", lambda _folder: DiskSpace(500_000_100, 1_000_000_000))
    async with site.teacher() as teacher:
        assert (await upload(teacher, PLAIN))[0] == 507
        assert await left(site) == []


async def test_a_file_of_which_nobody_says_the_size_needs_the_space_of_the_largest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.box.loading, "_measure", lambda _folder: DiskSpace(600_000_000, 1_000_000_000))
    async with (
        site.teacher() as teacher,
        teacher.session.post(
            f"{teacher.address}/staff/packs/upload",
            data=in_pieces(),
            headers={"Origin": teacher.address, "Content-Type": "multipart/form-data; boundary=x"},
        ) as response,
    ):
        assert response.status == 507


async def in_pieces() -> AsyncIterator[bytes]:
    yield b"--x--\r\n"


async def test_an_app_that_grows_beyond_the_space_is_refused_and_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.box.loading, "_measure", lambda _folder: DiskSpace(500_100_000, 1_000_000_000))
    async with site.teacher() as teacher:
        status, text = await upload(teacher, make_zip([Raw("index.html", b"x"), Raw("a.txt", b"ab" * 50_000)]))
        assert status == 507
        assert "too little space" in text
        assert await left(site) == []


async def test_a_file_on_a_stick_is_offered_and_becomes_a_pack(site: Site) -> None:
    stick = site.box.settings.stick_folders[0] / "STICK"
    await asyncio.to_thread((stick / "kettle.zip").write_bytes, zipped_app())
    await asyncio.to_thread((stick / "link.zip").symlink_to, stick / "kettle.zip")
    async with site.teacher() as teacher:
        _, text = await teacher.get("/staff/packs")
        assert "kettle.zip" in text
        assert "link.zip" not in text
        response, _ = await teacher.submit("/staff/packs/import", file=str(stick / "kettle.zip"), title="Kettle")
        assert response.status == 200
        assert (await last_job(site))[0] is JobState.DONE


@pytest.mark.parametrize("name", ["link.zip", "gone.zip", "../box/box.db", "/etc/passwd", ""])
async def test_only_what_a_stick_offers_can_be_named(site: Site, name: str) -> None:
    stick = site.box.settings.stick_folders[0] / "STICK"
    await asyncio.to_thread((stick / "link.zip").symlink_to, "/etc/passwd")
    async with site.teacher() as teacher:
        response, _ = await teacher.submit("/staff/packs/import", file=str(stick / name))
        assert response.status == 404


async def test_what_a_power_cut_left_is_gone_after_the_next_start(tmp_path: Path) -> None:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    for place in ("import/abc/source/files", "local/abc/edgebox/packs"):
        await asyncio.to_thread((tmp_path / "box" / place).mkdir, parents=True)
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        assert [path.name for folder in ("import", "local") for path in (tmp_path / "box" / folder).iterdir()] == []


async def test_a_disk_that_fills_up_while_a_file_comes_is_explained(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill_up(_part: object, _folder: Path) -> Path:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(bringing, "_write_file", fill_up)
    async with site.teacher() as teacher:
        status, text = await upload(teacher, zipped_app())
    assert status == 507
    assert "There is too little space on the box" in text
    assert await left(site) == []
