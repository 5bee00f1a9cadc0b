"""What the hub refuses, and why."""

from content_packs.base.errors import N_, EdgeboxError


class EnrolmentCodeInvalid(EdgeboxError):
    """A code or ticket that this hub never gave out."""

    code = "hub.enrolment_code_invalid"
    status = 403
    exit_code = 70
    sentence = N_("This hub did not give out the enrolment code.")
    remedy = N_("Ask the hub for a new code: edgebox hub enroll.")


class EnrolmentCodeUsed(EdgeboxError):
    """A code or ticket that another box has used."""

    code = "hub.enrolment_code_used"
    status = 403
    exit_code = 117
    sentence = N_("Another box has used the enrolment code.")
    remedy = N_("Ask the hub for a new code: edgebox hub enroll. Each is good for one box.")


class BoxRevoked(EdgeboxError):
    """A box that the operator took the right to send from."""

    code = "hub.box_revoked"
    status = 403
    exit_code = 116
    sentence = N_("The hub takes nothing from this box any more: it was reported as lost.")
    remedy = N_("If it was found again, ask the hub's operator to take it back. What it sent meanwhile is kept aside.")


class BoxUnknown(EdgeboxError):
    """A number that no box has here."""

    code = "hub.box_unknown"
    status = 404
    exit_code = 119
    sentence = N_("No box has the number {box_no} here.")
    remedy = N_("Look up the number with: edgebox hub boxes")


class EnrolmentProofInvalid(EdgeboxError):
    """The box could not show that it holds its key."""

    code = "hub.enrolment_proof_invalid"
    status = 403
    exit_code = 71
    sentence = N_("The box could not prove who it is.")
    remedy = N_("Update the box and try again with the same code.")


class TooManyTries(EdgeboxError):
    """Too many wrong codes from one place."""

    code = "hub.too_many_tries"
    status = 429
    exit_code = 72
    retryable = True
    sentence = N_("Too many wrong codes were tried.")
    remedy = N_("Wait ten minutes, then try again.")


class QuotaReached(EdgeboxError):
    """A box sent more in a day than it may."""

    code = "hub.quota_reached"
    status = 429
    exit_code = 73
    retryable = True
    sentence = N_("The box has sent its share for today ({limit_bytes} bytes).")
    remedy = N_("It goes on tomorrow by itself. Nothing is lost.")


class TooManyAtOnce(EdgeboxError):
    """A box that sends on more connections than it has any use for."""

    code = "hub.too_many_at_once"
    status = 429
    exit_code = 8
    retryable = True
    sentence = N_("The box sends too much at the same time ({most} uploads are possible).")
    remedy = N_("It goes on by itself when one of them is done. Nothing is lost.")


class LetterMalformed(EdgeboxError):
    """A line that an operator wants to send, which is not understood or names what is not there."""

    code = "hub.letter_malformed"
    status = 400
    exit_code = 9
    sentence = N_("This cannot be sent ({where}): {reason}.")
    remedy = N_("Correct the file and send it again. Nothing of it was sent.")


class RequestMalformed(EdgeboxError):
    """A request that is not what its route takes."""

    code = "hub.request_malformed"
    status = 400
    exit_code = 74
    sentence = N_("The hub did not understand the request ({reason}).")
    remedy = N_("Update the box and the hub to the same version.")


class RequestTooLarge(EdgeboxError):
    """A body over the limit of its route."""

    code = "hub.request_too_large"
    status = 413
    exit_code = 75
    sentence = N_("The request is larger than allowed ({limit_bytes} bytes).")
    remedy = N_("Update the box; it splits what it has to send.")


class RequestTooSlow(EdgeboxError):
    """A body that does not arrive in time."""

    code = "hub.request_too_slow"
    status = 408
    exit_code = 76
    retryable = True
    sentence = N_("The request took too long to arrive.")
    remedy = N_("The box tries again by itself; over a very bad line use a stick.")


class UploadMoved(EdgeboxError):
    """Bytes for another place of an upload than the one behind what is stored."""

    code = "hub.upload_moved"
    status = 409
    exit_code = 251
    retryable = True
    sentence = N_("The hub has {offset_bytes} bytes of this upload, and waits for the next one.")
    remedy = N_("The box goes on from there by itself.")


class UploadChecksumWrong(EdgeboxError):
    """A part of an upload that is not what its checksum says; `460` is the protocol's own number."""

    code = "hub.upload_checksum_wrong"
    status = 460
    exit_code = 252
    retryable = True
    sentence = N_("A part of the upload was changed on its way.")
    remedy = N_("Send it again.")


class HubBusy(EdgeboxError):
    """Another program holds the hub's folder."""

    code = "hub.busy"
    status = 503
    exit_code = 77
    retryable = True
    sentence = N_("Another hub is running on the folder {folder}, and does not answer.")
    remedy = N_("Stop it first, or choose another folder with --data.")


class HubEmpty(EdgeboxError):
    """A folder in which no hub has run yet."""

    code = "hub.empty"
    status = 404
    exit_code = 38
    sentence = N_("There is no hub in the folder {folder}.")
    remedy = N_("Start one with: edgebox hub serve")


class HubRequestRefused(EdgeboxError):
    """A page asked for in a way that is not allowed: wrong host, wrong origin, not signed in, or not there."""

    code = "hub.refused"
    status = 403
    exit_code = 78
    sentence = N_("That is not possible here ({reason}).")
    remedy = N_("Open the start page of the hub again.")


class HubFault(EdgeboxError):
    """A mistake of ours; the log has the details."""

    code = "hub.fault"
    status = 500
    exit_code = 79
    retryable = True
    sentence = N_("The hub made a mistake. Nothing that was acknowledged is lost.")
    remedy = N_("Try again. If it happens again, look into the hub's log.")
