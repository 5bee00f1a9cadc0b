"""What can be wrong with a pack, a course source or an installation; one class per code.

In `PathRefused` and `SourceInvalid` the field `reason` is itself a message id, so that a screen can translate it before
it fills the sentence. All other fields are names, numbers or technical words.
"""

from content_packs.base.errors import N_, EdgeboxError


class PackUnsigned(EdgeboxError):
    """A manifest without any signature."""

    code = "pack.unsigned"
    status = 403
    exit_code = 14
    sentence = N_("This pack is not signed, so nobody can tell who made it.")
    remedy = N_("Get the pack from its publisher, or build and sign it yourself.")


class SignerUnknown(EdgeboxError):
    """Signed, but by none of the keys this box trusts."""

    code = "pack.signer_unknown"
    status = 403
    exit_code = 15
    sentence = N_("This pack is signed by a publisher this box does not know ({signer}).")
    remedy = N_("If you trust the publisher, ask your technician to add the publisher's key. Otherwise do not use it.")


class PackSignatureInvalid(EdgeboxError):
    """The signature of a trusted key does not fit the manifest."""

    code = "pack.signature_invalid"
    status = 403
    exit_code = 16
    sentence = N_("This pack was changed after {signer} signed it.")
    remedy = N_("Do not use it. Get the pack again from its publisher.")


class ManifestMalformed(EdgeboxError):
    """A manifest that breaks a rule of the format."""

    code = "pack.manifest_malformed"
    status = 400
    exit_code = 17
    sentence = N_("The list of contents of this pack is damaged ({reason}).")
    remedy = N_("Copy the pack to the stick again.")


class FormatUnsupported(EdgeboxError):
    """A format number or a required feature this program does not know."""

    code = "pack.format_unsupported"
    status = 400
    exit_code = 18
    sentence = N_("This pack needs a newer Edgebox ({feature}).")
    remedy = N_("Update the box, or ask the publisher for a pack for this version.")


class PathRefused(EdgeboxError):
    """A file name that is not safe everywhere."""

    code = "pack.path_refused"
    status = 400
    exit_code = 19
    sentence = N_("The file name “{file}” cannot be used: {reason}.")
    remedy = N_("Rename the file and build the pack again.")


class BlobMissing(EdgeboxError):
    """A file the manifest lists that is not in the folder."""

    code = "pack.blob_missing"
    status = 409
    exit_code = 20
    sentence = N_("A file of the pack is missing: {file}.")
    remedy = N_("Copy the whole pack to the stick again.")


class BlobAltered(EdgeboxError):
    """A file whose content is not the one that was signed."""

    code = "pack.blob_altered"
    status = 409
    exit_code = 21
    sentence = N_("A file of the pack is damaged or was changed: {file}.")
    remedy = N_("Copy the pack to the stick again. If it happens again, use another stick.")


class PackRollback(EdgeboxError):
    """An older version than one that is or was on the box."""

    code = "pack.rollback"
    status = 409
    exit_code = 22
    sentence = N_("A newer version of {pack} is or was on the box: {installed}. This is version {offered}.")
    remedy = N_("Use version {installed} or a newer one. A box never goes back to an older one.")


class PackDiffers(EdgeboxError):
    """Another content under the version that is on the box."""

    code = "pack.differs"
    status = 409
    exit_code = 39
    sentence = N_("The box already has version {offered} of {pack}, with other content.")
    remedy = N_("Ask the publisher for a version with a higher number.")


class PackSpace(EdgeboxError):
    """Installing would eat into the space that learners' work needs."""

    code = "pack.space"
    status = 507
    exit_code = 23
    sentence = N_("There is too little space on the box: {needed_bytes} bytes are needed, {usable_bytes} can be used.")
    remedy = N_("Remove a pack that is no longer used, then try again.")


class SourceInvalid(EdgeboxError):
    """Something in the source of a course, or in a key file, that its author has to correct."""

    code = "pack.source_invalid"
    status = 400
    exit_code = 24
    sentence = N_("{file}, {where}: {reason}.")
    remedy = N_("Correct the file and build the pack again.")


class StickGone(EdgeboxError):
    """The stick was pulled or cannot be read; everything verified so far is kept."""

    code = "pack.stick_gone"
    status = 503
    exit_code = 25
    retryable = True
    sentence = N_("The stick was pulled out or cannot be read.")
    remedy = N_("Put the stick in again and start again: what was copied is kept.")


class FileTooLarge(EdgeboxError):
    """A file over a limit of the format."""

    code = "pack.file_too_large"
    status = 413
    exit_code = 26
    sentence = N_("{file} is too large: {size_bytes} bytes, at most {limit_bytes} are possible.")
    remedy = N_("Make the file smaller or split it.")


class InstallCancelled(EdgeboxError):
    """Somebody cancelled; everything verified so far is kept."""

    code = "pack.cancelled"
    status = 409
    exit_code = 27
    retryable = True
    sentence = N_("Loading the pack was stopped.")
    remedy = N_("Start again when you like: what was copied is kept.")


class LibraryBusy(EdgeboxError):
    """Another installation or removal is running on this box."""

    code = "pack.busy"
    status = 409
    exit_code = 28
    retryable = True
    sentence = N_("The box is already loading or removing a pack.")
    remedy = N_("Wait until it is done, then try again.")


class PackNotFound(EdgeboxError):
    """No pack in this folder, or no such pack on this box."""

    code = "pack.not_found"
    status = 404
    exit_code = 29
    sentence = N_("There is no pack here: {place}.")
    remedy = N_("Check the name or the stick.")


class OverlayScript(EdgeboxError):
    """An overlay that would bring a script into something that is no app."""

    code = "pack.overlay_script"
    status = 400
    exit_code = 113
    sentence = N_("This overlay puts a file into “{resource}” that could run as a program: {file}.")
    remedy = N_("An overlay may bring pages, pictures, sound and films. Leave the file out, or do not use the overlay.")


class PartUnknown(EdgeboxError):
    """A part that a pack does not have was asked for."""

    code = "pack.part_unknown"
    status = 404
    exit_code = 114
    sentence = N_("{pack} has no part “{part}”. Its parts are: {known}.")
    remedy = N_("Choose among these parts, or leave the choice out to take all.")
