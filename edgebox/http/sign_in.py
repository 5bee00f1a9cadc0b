"""From the start page to a signed-in learner and back: class, face, secret, "I'm done", language."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from content_packs.base.errors import N_
from content_packs.base.wording import LANGUAGES
from edgebox.domain.lifetime import LIFETIMES
from edgebox.domain.secret import PICTURE_COUNT, PICTURES, SecretKind
from edgebox.domain.session import Role
from edgebox.http import cookies, problems
from edgebox.http.body import read_form
from edgebox.http.render import is_local, page, page_words, translated
from edgebox.http.wording import LANGUAGE_COOKIE
from edgebox.keys import BOX, SESSION
from edgebox.services.signing_in import SignInDelayed, SignInFailed
from edgebox.store import roster

_LANGUAGE_SECONDS = 400 * 24 * 3600
_HOMES = {Role.LEARNER: "/learn", Role.TEACHER: "/staff/classes"}
PICTURE_NAMES = {
    "apple": N_("Apple"),
    "ball": N_("Ball"),
    "bird": N_("Bird"),
    "boat": N_("Boat"),
    "clock": N_("Clock"),
    "cup": N_("Cup"),
    "drum": N_("Drum"),
    "fish": N_("Fish"),
    "flower": N_("Flower"),
    "house": N_("House"),
    "key": N_("Key"),
    "moon": N_("Moon"),
    "star": N_("Star"),
    "sun": N_("Sun"),
    "tree": N_("Tree"),
    "umbrella": N_("Umbrella"),
}


async def choose_class(request: web.Request) -> web.StreamResponse:
    """Show all classes; who is signed in already goes on."""
    if session := request.get(SESSION):
        raise web.HTTPSeeOther(_HOMES[session.role])
    classes = await request.app[BOX].database.read(roster.list_classes)
    shown = [{"id": row["no"], "name": row["title"]} for row in classes]
    return page(request, "classes.html", classes=shown)


async def choose_face(request: web.Request) -> web.StreamResponse:
    """Show the learners of a class."""
    class_no = number_of(request, "class_no")
    database = request.app[BOX].database
    class_row = await database.read(lambda connection: roster.find_class(connection, class_no))
    rows = await database.read(lambda connection: roster.list_learners(connection, class_no))
    learners = [{"id": row["no"], "name": row["given_name"], "avatar": row["avatar"]} for row in rows]
    _tell_apart(rows, learners)
    return page(request, "faces.html", class_name=class_row["title"], learners=learners)


async def show_sign_in(request: web.Request) -> web.StreamResponse:
    """Ask for the secret of a learner."""
    return await _form(request, picked=[])


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Check a secret. Without script each picture is a form of its own, and only the last one is checked."""
    person_no = number_of(request, "person_no")
    form = await read_form(request)
    row = await _learner(request, person_no)
    kind = SecretKind(row["secret_kind"] or SecretKind.PICTURE.value)
    secret = form.get("pin", "").strip()
    if kind is SecretKind.PICTURE:
        picked = _picked(form)
        if len(picked) < PICTURE_COUNT:
            return await _form(request, picked=picked)
        secret = ",".join(picked)
    try:
        token = await request.app[BOX].signing_in.sign_in_learner(person_no, kind, secret, cookies.device_key(request))
    except (SignInFailed, SignInDelayed) as error:
        return await _form(request, picked=[], problem=" ".join(translated(request, error)), status=error.status)
    response = web.HTTPSeeOther("/learn")
    cookies.set_session_cookie(response, token, LIFETIMES[Role.LEARNER].total_ms // 1000)
    cookies.set_device_cookie(request, response)
    raise response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End the session and go to where the next learner begins."""
    session = request[SESSION]
    classes = await request.app[BOX].database.read(
        lambda connection: roster.list_classes_of(connection, session.person_no)
    )
    await request.app[BOX].signing_in.sign_out(session)
    is_in_class = session.role is Role.LEARNER and classes
    response = web.HTTPSeeOther(f"/class/{classes[0]['no']}" if is_in_class else "/")
    cookies.clear_session_cookie(response)
    raise response


async def choose_language(request: web.Request) -> web.StreamResponse:
    """Keep the interface language for this tablet, and for the person who is signed in."""
    form = await read_form(request)
    language, onward = form.get("language", ""), form.get("next", "/")
    if language not in LANGUAGES:
        raise problems.BodyMalformed(reason="language")
    if session := request.get(SESSION):
        await request.app[BOX].signing_in.set_language(session.person_no, language)
    response = web.HTTPSeeOther(onward if is_local(onward) else "/")
    response.set_cookie(LANGUAGE_COOKIE, language, max_age=_LANGUAGE_SECONDS, path="/", samesite="Lax", httponly=True)
    raise response


async def _form(request: web.Request, *, picked: list[str], problem: str = "", status: int = 200) -> web.StreamResponse:
    row = await _learner(request, number_of(request, "person_no"))
    classes = await request.app[BOX].database.read(lambda connection: roster.list_classes_of(connection, row["no"]))
    translate = page_words(request).gettext
    response = page(
        request,
        "sign_in.html",
        status=status,
        learner={
            "name": row["given_name"],
            "avatar": row["avatar"],
            "secret_kind": row["secret_kind"] or SecretKind.PICTURE.value,
        },
        class_href=f"/class/{classes[0]['no']}" if classes else "/",
        pictures={name: translate(PICTURE_NAMES[name]) for name in PICTURES},
        picture_count=PICTURE_COUNT,
        picked=picked,
        problem=problem,
    )
    cookies.device_key(request)
    cookies.set_device_cookie(request, response)
    return response


async def _learner(request: web.Request, person_no: int) -> Any:
    row = await request.app[BOX].database.read(lambda connection: roster.find_person(connection, person_no))
    if row["role"] != Role.LEARNER.value:
        raise roster.PersonUnknown(person_no=person_no)
    return row


def _picked(form: Mapping[str, str]) -> list[str]:
    """Return the pictures chosen so far, with the one of this press; none after "start again"."""
    if "again" in form:
        return []
    chosen = [name for name in form.get("picked", "").split(",") if name in PICTURES]
    if form.get("picture") in PICTURES:
        chosen.append(form["picture"])
    return chosen[:PICTURE_COUNT]


def _tell_apart(rows: Sequence[Any], learners: list[dict[str, Any]]) -> None:
    """Add the family name where two learners of a class share the given name."""
    names = [row["given_name"] for row in rows]
    for row, learner in zip(rows, learners, strict=True):
        if names.count(row["given_name"]) > 1:
            learner["name"] = f"{row['given_name']} {row['family_name']}".strip()


def number_of(request: web.Request, name: str) -> int:
    """Return a number of the path; one too long for SQLite is not found."""
    text = request.match_info[name]
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise problems.NotFound
    return int(text)
