"""Why a cmi5 course structure is refused; one class per rule and code. All of them are for its author to correct."""

from typing import ClassVar

from content_packs.base.errors import N_, EdgeboxError

AREA = "course."


class _Refusal:
    """What all rules share."""

    status: ClassVar[int] = 422
    remedy: ClassVar[str] = N_("Ask whoever made the course to correct this in its cmi5.xml.")


class StructureInvalid(_Refusal, EdgeboxError):
    """It does not fit CourseStructure.xsd: something is missing, out of order, or not known to cmi5."""

    code = "course.structure_invalid"
    exit_code = 150
    sentence = N_("The course structure is not valid cmi5: {reason} ({where}).")


class IdNotIri(_Refusal, EdgeboxError):
    """An id of course, block, unit or objective that is no absolute IRI (cmi5 13.1)."""

    code = "course.id_not_iri"
    exit_code = 151
    sentence = N_("The id “{id}” in the course structure is not a whole internet address (IRI).")


class IdTwice(_Refusal, EdgeboxError):
    """Two blocks, units or objectives with one id (cmi5 13.1.2 to 13.1.4)."""

    code = "course.id_twice"
    exit_code = 152
    sentence = N_("The id “{id}” is in the course structure twice.")


class UrlRelative(_Refusal, EdgeboxError):
    """A relative address in a structure that comes without a package (cmi5 14.2)."""

    code = "course.url_relative"
    exit_code = 153
    sentence = N_("The course structure came alone, but “{url}” is an address inside a package.")
    remedy = N_("Bring the whole package as a ZIP file.")


class UrlLeadsNowhere(_Refusal, EdgeboxError):
    """A relative address of a file that is not in the package (cmi5 14.1)."""

    code = "course.url_missing"
    exit_code = 154
    sentence = N_("The course starts “{url}”, but there is no such file in the package.")


class UrlInvalid(_Refusal, EdgeboxError):
    """An address that is none, or that a tablet's browser does not open (cmi5 13.1.4)."""

    code = "course.url_invalid"
    exit_code = 155
    sentence = N_("“{url}” in the course structure is not an address that can be opened.")


class UrlParameterTaken(_Refusal, EdgeboxError):
    """An address whose query has a name that the launch needs (cmi5 8.1)."""

    code = "course.url_parameter"
    exit_code = 156
    sentence = N_("The address “{url}” in the course structure says “{name}” itself, which only the box may say.")


class ValueUnknown(_Refusal, EdgeboxError):
    """A value that is not one of those cmi5 knows."""

    code = "course.value_unknown"
    exit_code = 157
    sentence = N_("“{value}” is not a value that cmi5 knows for {name}.")


class ScoreInvalid(_Refusal, EdgeboxError):
    """A mastery score that is no decimal number from 0 to 1 (cmi5 13.1.4)."""

    code = "course.score_invalid"
    exit_code = 158
    sentence = N_("The mastery score “{value}” is not a number from 0 to 1.")
