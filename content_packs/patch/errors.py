"""What can be wrong with a patch; one class per code.

`USE_WHOLE_PACK` are those after which the same box gets the same version in another way: as a patch from nothing, or
file by file.
"""

from typing import Final

from content_packs.base.errors import N_, EdgeboxError


class PatchMalformed(EdgeboxError):
    """A patch file that is damaged, cut short, or breaks a rule of the format."""

    code = "patch.malformed"
    status = 400
    exit_code = 225
    sentence = N_("The update file is damaged ({reason}).")
    remedy = N_("Get it again from where it came from.")


class PatchSignatureInvalid(EdgeboxError):
    """The signature of a trusted key does not fit the head of the patch."""

    code = "patch.signature_invalid"
    status = 403
    exit_code = 226
    sentence = N_("This update file was changed after {signer} signed it.")
    remedy = N_("Do not use it. Get it again from its publisher.")


class PatchBaseMissing(EdgeboxError):
    """The box does not have the version the patch starts from, or not all of its files."""

    code = "patch.base_missing"
    status = 409
    exit_code = 227
    sentence = N_("This update of {pack} needs version {version} ({root}) on the box, whole.")
    remedy = N_("Get the update for the version that is on the box, or the full pack.")


class PatchResultDiffers(EdgeboxError):
    """What came out is not what the publisher signed; nothing of it is visible."""

    code = "patch.result_differs"
    status = 409
    exit_code = 228
    sentence = N_("The update of {pack} could not be put together on this box.")
    remedy = N_("Get the full pack.")


class PatchMemory(EdgeboxError):
    """Applying needs more memory than may be used here."""

    code = "patch.memory"
    status = 507
    exit_code = 229
    sentence = N_("This update needs {needed_bytes} bytes of memory, {usable_bytes} can be used.")
    remedy = N_("Get the full pack, or ask the publisher for an update for small boxes.")


class PatchUnsupported(EdgeboxError):
    """A format number or a feature this program does not know."""

    code = "patch.unsupported"
    status = 400
    exit_code = 230
    sentence = N_("This update needs a newer Edgebox ({feature}).")
    remedy = N_("Update the box, or get the full pack.")


USE_WHOLE_PACK: Final = (PatchBaseMissing, PatchResultDiffers, PatchMemory, PatchUnsupported)
