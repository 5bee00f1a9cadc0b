"""What commands ask of a box about classes, learners and teachers."""

from typing import Any

from edgebox.domain.secret import SecretKind
from edgebox.keys import Box
from edgebox.services.teaching import SchoolClass, check_name
from edgebox.store import roster


async def add_learners(box: Box, arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """Add learners with fresh secrets to the class of that title or code, which is made when there is none."""
    names = [check_name(name) for name in arguments["names"]]
    school_class = await _find_or_add_class(box, arguments["class"])
    nos = [await box.teaching.add_learner(school_class.no, name) for name in names]
    made = await box.teaching.new_secrets(school_class.no, nos, SecretKind(arguments["kind"]))
    secrets = {new.person_no: new.secret for new in made}
    return {
        "class": {"no": school_class.no, "code": school_class.code, "title": school_class.title},
        "learners": [{"no": no, "name": name, "secret": secrets[no]} for no, name in zip(nos, names, strict=True)],
    }


async def add_teacher(box: Box, arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """Add a teacher with a password."""
    name = check_name(arguments["name"])
    no = await box.signing_in.add_staff(arguments["login"], name, arguments["password"])
    return {"no": no, "login": arguments["login"], "name": name}


async def set_password(box: Box, arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """Replace the password of the teacher with that login; who is signed in with the old one is signed out."""
    name = await box.signing_in.set_password(arguments["login"], arguments["password"])
    return {"login": arguments["login"], "name": name}


async def list_users(box: Box, _arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """List teachers, and classes with their learners."""
    teachers = await box.database.read(lambda connection: roster.list_people(connection, "teacher"))
    return {
        "teachers": [{"no": row["no"], "login": row["login"], "name": row["given_name"]} for row in teachers],
        "classes": [await _class_with_learners(box, school_class) for school_class in await box.teaching.classes()],
    }


async def _find_or_add_class(box: Box, title: str) -> SchoolClass:
    checked = check_name(title)
    for school_class in await box.teaching.classes():
        if checked in (school_class.title, school_class.code):
            return school_class
    return await box.teaching.school_class(await box.teaching.add_class(checked))


async def _class_with_learners(box: Box, school_class: SchoolClass) -> dict[str, Any]:
    learners = [
        {
            "no": learner.no,
            "name": f"{learner.given_name} {learner.family_name}".strip(),
            "secret_kind": learner.secret_kind,
        }
        for learner in await box.teaching.learners(school_class.no)
    ]
    return {"no": school_class.no, "code": school_class.code, "title": school_class.title, "learners": learners}
