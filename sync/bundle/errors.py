"""What can be wrong with a bundle. Every refusal of the reader is one of these."""

from content_packs.base.errors import N_, EdgeboxError


class BundleMalformed(EdgeboxError):
    """Bytes that are not a bundle, or one that was cut or altered."""

    code = "sync.bundle_malformed"
    status = 400
    exit_code = 31
    sentence = N_("The bundle is damaged ({reason}).")
    remedy = N_("Send it again, or copy it again to the stick.")


class BundleTooLarge(EdgeboxError):
    """A bundle over one of the size limits."""

    code = "sync.bundle_too_large"
    status = 413
    exit_code = 32
    sentence = N_("The bundle is larger than allowed ({limit}).")
    remedy = N_("Update the box; it splits what it has to send into smaller bundles.")


class BundleUnsupported(EdgeboxError):
    """A format version, bundle kind or codec that this program does not know."""

    code = "sync.bundle_unsupported"
    status = 415
    exit_code = 33
    sentence = N_("The bundle was made by a newer Edgebox ({what}).")
    remedy = N_("Update this side, then send the bundle again.")


class BundleUnknownOrigin(EdgeboxError):
    """A bundle signed by a key that is not enrolled here."""

    code = "sync.bundle_unknown_origin"
    status = 403
    exit_code = 34
    sentence = N_("The bundle comes from a box that is not enrolled here ({origin}).")
    remedy = N_("Enrol the box with a code from this hub.")


class BundleForged(EdgeboxError):
    """A signature, seal or hash that does not fit."""

    code = "sync.bundle_forged"
    status = 403
    exit_code = 35
    sentence = N_("The bundle was changed on its way, or is sealed for another hub ({part}).")
    remedy = N_("Send it again. If it happens again, tell your technician.")
