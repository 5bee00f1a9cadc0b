"""Sessions and secrets: what a sign-in gives, what ends it, and what guessing costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgebox.domain.secret import SecretKind, SecretWeak
from edgebox.domain.session import Role
from edgebox.services import secret_hashing
from edgebox.services.identity import open_identity
from edgebox.services.secret_hashing import SignInBusy
from edgebox.services.signed_in import SWEEP_FROM_SESSIONS, SignedIn
from edgebox.services.signing_in import (
    SetUpRefused,
    SignInDelayed,
    SignInFailed,
    SigningIn,
    StaffSignInDelayed,
    StaffSignInFailed,
)
from edgebox.store import roster
from edgebox.store.database import Database
from tests.support.clock import FakeClock

HOUR_MS = 3600 * 1000
PASSWORD = "three horses run fast"
PIN = "8305"


class Desk:
    """A sign-in service that can be started again on the same data."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = FakeClock()
        self.identity = open_identity(data / "keys")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SigningIn]:
        database = await asyncio.to_thread(Database, self.data / "box.db")
        try:
            self.database = database
            yield await SigningIn.open(database, self.clock, self.identity)
        finally:
            await asyncio.to_thread(database.close)

    async def add_learner(self, service: SigningIn, name: str = "Ben") -> int:
        no = await self.database.write(lambda connection: roster.insert_learner(connection, 1, name))
        await service.set_secret(no, SecretKind.PIN, PIN)
        return no

    async def wrong(self, service: SigningIn, no: int, device: str) -> type[Exception] | None:
        try:
            await service.sign_in_learner(no, SecretKind.PIN, "9999", device)
        except (SignInFailed, SignInDelayed) as error:
            return type(error)
        return None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_each_sign_in_gives_a_new_token_and_ends_the_one_before_on_that_browser(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        first = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        second = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        elsewhere = await service.sign_in_learner(no, SecretKind.PIN, PIN, "other")
        assert len({first, second, elsewhere}) == 3
        assert service.find_session(first) is None
        found = service.find_session(second)
        assert found is not None
        assert (found.person_no, found.role, found.given_name) == (no, Role.LEARNER, "Ben")
        assert service.find_session(elsewhere) is not None


async def test_a_token_made_by_somebody_else_is_no_session(desk: Desk) -> None:
    async with desk.open() as service:
        await desk.add_learner(service)
        for planted in ("a" * 40, "", "é" * 40, "a" * 4000):
            assert service.find_session(planted) is None


async def test_a_restart_keeps_sessions_and_their_form_token_without_hashing(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        token = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        before = service.find_session(token)
    async with desk.open() as service:
        assert service.find_session(token) == before


async def test_the_database_does_not_hold_the_token_or_the_secret(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        token = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        stored = await desk.database.read(
            lambda connection: [
                connection.execute("SELECT * FROM session").fetchall(),
                connection.execute("SELECT * FROM person").fetchall(),
            ]
        )
        text = repr([[tuple(row) for row in table] for table in stored])
    assert token not in text
    assert PIN not in text
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in text


async def test_a_learner_stays_signed_in_for_a_school_day(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        token = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        desk.clock.advance(12 * HOUR_MS - 1)
        assert service.find_session(token) is not None
        desk.clock.advance(1)
        assert service.find_session(token) is None


async def test_a_teacher_is_signed_out_after_two_idle_hours_or_twelve_in_all(desk: Desk) -> None:
    async with desk.open() as service:
        await service.add_staff("anna", "Anna", PASSWORD)
        idle = await service.sign_in_staff("anna", PASSWORD, "desk")
        desk.clock.advance(2 * HOUR_MS)
        assert service.find_session(idle) is None
        busy = await service.sign_in_staff("anna", PASSWORD, "desk")
        for _ in range(11):
            desk.clock.advance(HOUR_MS)
            assert service.find_session(busy) is not None
        desk.clock.advance(HOUR_MS)
        assert service.find_session(busy) is None


async def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(desk: Desk) -> None:
    async with desk.open() as service:
        await service.add_staff("anna", "Anna", PASSWORD)
        token = await service.sign_in_staff("anna", PASSWORD, "desk")
        for _ in range(3):
            assert service.find_session(token, is_use=False) is not None
            desk.clock.advance(40 * 60 * 1000 - 1)
        assert service.find_session(token, is_use=False) is not None
        desk.clock.advance(3)
        assert service.find_session(token, is_use=False) is None
    async with desk.open() as service:
        assert service.find_session(token) is None


async def test_use_of_a_session_is_remembered_over_a_restart(desk: Desk) -> None:
    async with desk.open() as service:
        await service.add_staff("anna", "Anna", PASSWORD)
        token = await service.sign_in_staff("anna", PASSWORD, "desk")
        desk.clock.advance(HOUR_MS)
        assert service.find_session(token) is not None
        await desk.database.write(lambda connection: None)
        desk.clock.advance(HOUR_MS + HOUR_MS // 2)
    async with desk.open() as service:
        assert service.find_session(token) is not None


async def test_a_clock_that_jumps_back_does_not_lengthen_a_session(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        token = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        desk.clock.wall_ms -= 1000 * HOUR_MS
        desk.clock.running_ms += 12 * HOUR_MS
        assert service.find_session(token) is None


async def test_sessions_that_are_over_leave_the_memory(desk: Desk) -> None:
    signed_in = SignedIn(desk.clock, b"secret")
    row = {"person_no": 1, "role": "learner", "pseudonym": b"", "given_name": "", "avatar": 0, "language": None}
    for day in range(20):
        for tablet in range(SWEEP_FROM_SESSIONS // 2):
            now_ms = desk.clock.now_ms()
            times = {"seen_ms": now_ms, "expires_ms": now_ms + 12 * HOUR_MS}
            key = f"{day} {tablet}"
            assert signed_in.add(row | times | {"token_hash": key.encode(), "device_key": key}) is not None
        desk.clock.advance(24 * HOUR_MS)
    assert len(signed_in._entries) <= SWEEP_FROM_SESSIONS


async def test_sign_out_ends_one_session(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        token = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        other = await service.sign_in_learner(no, SecretKind.PIN, PIN, "other")
        session = service.find_session(token)
        assert session is not None
        await service.sign_out(session)
        assert service.find_session(token) is None
    async with desk.open() as service:
        assert service.find_session(token) is None
        assert service.find_session(other) is not None


async def test_a_new_secret_signs_the_person_out_everywhere(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        tokens = [await service.sign_in_learner(no, SecretKind.PIN, PIN, device) for device in ("a", "b")]
        (card,) = await service.new_secrets([no], SecretKind.PICTURE)
        assert [service.find_session(token) for token in tokens] == [None, None]
        with pytest.raises(SignInFailed):
            await service.sign_in_learner(no, SecretKind.PIN, PIN, "a")
        assert await service.sign_in_learner(no, card.kind, card.secret, "a")


async def test_language_of_a_living_session_changes(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        token = await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        await service.set_language(no, "ar")
        found = service.find_session(token)
    assert found is not None
    assert found.language == "ar"


async def test_after_five_wrong_tries_that_browser_waits_and_others_do_not(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        assert [await desk.wrong(service, no, "classmate") for _ in range(6)] == [SignInFailed] * 5 + [SignInDelayed]
        with pytest.raises(SignInDelayed) as caught:
            await service.sign_in_learner(no, SecretKind.PIN, PIN, "classmate")
        assert caught.value.fields == {"wait_seconds": 10}
        assert await service.sign_in_learner(no, SecretKind.PIN, PIN, "own tablet")
        desk.clock.advance(10_000)
        assert await service.sign_in_learner(no, SecretKind.PIN, PIN, "classmate")


async def test_who_finds_no_place_has_not_been_wrong(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        with monkeypatch.context() as crowded:
            crowded.setattr(secret_hashing, "WAITING_MAX", 0)
            for _ in range(9):
                with pytest.raises(SignInBusy):
                    await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")
        assert await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")


async def test_the_pause_survives_a_restart(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        for _ in range(5):
            await desk.wrong(service, no, "tablet")
    async with desk.open() as service:
        assert await desk.wrong(service, no, "tablet") is SignInDelayed


async def test_a_clock_set_back_does_not_lock_anybody_out(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        for _ in range(5):
            await desk.wrong(service, no, "tablet")
        desk.clock.wall_ms -= 1000 * HOUR_MS
        assert await desk.wrong(service, no, "tablet") is SignInDelayed
        desk.clock.advance(10_000)
        assert await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")


async def test_throwing_the_cookie_away_does_not_buy_tries_without_end(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        await service.sign_in_learner(no, SecretKind.PIN, PIN, "own tablet")
        results = [await desk.wrong(service, no, f"fresh {number}") for number in range(21)]
        assert results == [SignInFailed] * 20 + [SignInDelayed]
        assert await service.sign_in_learner(no, SecretKind.PIN, PIN, "own tablet")


async def test_the_teachers_nod_ends_every_pause(desk: Desk) -> None:
    async with desk.open() as service:
        no = await desk.add_learner(service)
        for _ in range(5):
            await desk.wrong(service, no, "tablet")
        await service.forgive(no)
        assert await service.sign_in_learner(no, SecretKind.PIN, PIN, "tablet")


async def test_unknown_and_known_log_ins_get_the_same_answers(desk: Desk) -> None:
    async with desk.open() as service:
        await service.add_staff("anna", "Anna", PASSWORD)
        answers: dict[str, list[tuple[type, dict[str, object]]]] = {"anna": [], "nobody": []}
        for login, heard in answers.items():
            for _ in range(7):
                with pytest.raises((SignInFailed, SignInDelayed)) as caught:
                    await service.sign_in_staff(login, "not the password", "laptop")
                heard.append((caught.type, caught.value.fields))
    assert answers["anna"] == answers["nobody"]
    assert answers["anna"][-1][0] is StaffSignInDelayed


async def test_an_unknown_log_in_costs_a_hash_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk.open() as service:
        hashing = service._hashing
        verified: list[bool] = []
        verify = hashing._verify
        monkeypatch.setattr(hashing, "_verify", lambda *given: verified.append(True) or verify(*given))
        with pytest.raises(SignInFailed):
            await service.sign_in_staff("nobody", "x" * 20, "laptop")
        with pytest.raises(SignInFailed):
            await service.sign_in_learner(4711, SecretKind.PIN, "8305", "laptop")
    assert len(verified) == 2


async def test_a_learner_cannot_sign_in_as_staff_nor_the_other_way_round(desk: Desk) -> None:
    async with desk.open() as service:
        teacher_no = await service.add_staff("anna", "Anna", PASSWORD)
        with pytest.raises(SignInFailed):
            await service.sign_in_learner(teacher_no, SecretKind.PASSWORD, PASSWORD, "tablet")


async def test_the_first_teacher_is_made_once_by_the_printed_code(desk: Desk) -> None:
    async with desk.open() as service:
        code = service.set_up_code
        assert code is not None
        with pytest.raises(SetUpRefused):
            await service.set_up_staff("AAAA-BBBB-CCCC", "anna", "Anna", PASSWORD, "laptop")
        with pytest.raises(SecretWeak):
            await service.set_up_staff(code, "anna", "Anna", "password1234", "laptop")
        token = await service.set_up_staff(code.lower(), "Anna", "Anna", PASSWORD, "laptop")
        session = service.find_session(token)
        assert session is not None
        assert session.role is Role.TEACHER
        with pytest.raises(SetUpRefused):
            await service.set_up_staff(code, "eve", "Eve", PASSWORD, "phone")
        assert await service.sign_in_staff("ANNA", PASSWORD, "phone")
    async with desk.open() as service:
        assert service.set_up_code is None


async def test_of_two_who_use_the_set_up_code_at_the_same_moment_one_becomes_the_teacher(desk: Desk) -> None:
    async with desk.open() as service:
        code = service.set_up_code
        assert code is not None
        tries = [service.set_up_staff(code, name, name, PASSWORD, name) for name in ("anna", "eve")]
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sorted(type(one) for one in done if isinstance(one, Exception)) == [SetUpRefused]


async def test_a_weak_password_is_no_wrong_code(desk: Desk) -> None:
    async with desk.open() as service:
        for _ in range(6):
            with pytest.raises(SecretWeak):
                await service.set_up_staff(service.set_up_code or "", "anna", "Anna", "password1234", "laptop")
        assert await service.set_up_staff(service.set_up_code or "", "anna", "Anna", PASSWORD, "laptop")


async def test_a_fresh_box_has_no_log_in_that_works(desk: Desk) -> None:
    async with desk.open() as service:
        for number, login in enumerate(("admin", "teacher", "root", "edgebox", "")):
            for password in ("admin", "password", "edgebox", ""):
                with pytest.raises(SignInFailed):
                    await service.sign_in_staff(login, password, f"laptop {number}")


async def test_guessing_the_code_waits_like_any_secret(desk: Desk) -> None:
    async with desk.open() as service:
        for _ in range(5):
            with pytest.raises(SetUpRefused):
                await service.set_up_staff("AAAA", "anna", "Anna", PASSWORD, "laptop")
        with pytest.raises(SignInDelayed):
            await service.set_up_staff(service.set_up_code or "", "anna", "Anna", PASSWORD, "laptop")


async def test_a_new_password_ends_all_sessions_of_the_teacher(desk: Desk) -> None:
    async with desk.open() as service:
        await service.add_staff("karimi", "Ms Karimi", PASSWORD)
        tokens = [await service.sign_in_staff("karimi", PASSWORD, device) for device in ("desk", "phone")]
        assert await service.set_password("KARIMI ", "seven new lanterns") == "Ms Karimi"
        assert [service.find_session(token) for token in tokens] == [None, None]
        with pytest.raises(StaffSignInFailed):
            await service.sign_in_staff("karimi", PASSWORD, "desk")
        await service.sign_in_staff("karimi", "seven new lanterns", "desk")
    async with desk.open() as service:
        assert [service.find_session(token) for token in tokens] == [None, None]
