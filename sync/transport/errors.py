"""What can go wrong between box and hub."""

from content_packs.base.errors import N_, EdgeboxError


class LinkDown(EdgeboxError):
    """The hub could not be reached, or the line broke."""

    code = "sync.link_down"
    status = 503
    exit_code = 40
    retryable = True
    sentence = N_("The hub cannot be reached ({reason}).")
    remedy = N_("Nothing is lost. The box tries again by itself; a stick works as well.")


class HubUnreached(EdgeboxError):
    """The hub to connect to for the first time could not be reached, so nothing was kept that could be tried again."""

    code = "sync.hub_unreached"
    status = 503
    exit_code = 47
    retryable = True
    sentence = N_("The hub cannot be reached ({reason}).")
    remedy = N_("Check the address and the network of the box, then connect again. The code stays good.")


class LinkCaptured(EdgeboxError):
    """An answer that is not from the hub."""

    code = "sync.link_captured"
    status = 502
    exit_code = 41
    retryable = True
    sentence = N_("Another page answered instead of the hub ({reason}).")
    remedy = N_("Sign in to the network that the box uses, or ask its owner. Nothing is lost.")


class HubRefused(EdgeboxError):
    """The hub answered with an error of its own."""

    code = "sync.hub_refused"
    status = 502
    exit_code = 42
    sentence = N_("The hub refused what the box sent ({hub_code}).")
    remedy = N_("Tell the hub's operator the word in brackets. Nothing is lost.")


class HubBusy(EdgeboxError):
    """The hub asks to come back later."""

    code = "sync.hub_busy"
    status = 503
    exit_code = 43
    retryable = True
    sentence = N_("The hub is busy ({hub_code}).")
    remedy = N_("The box tries again by itself.")


class StickMissing(EdgeboxError):
    """There is no such folder."""

    code = "sync.stick_missing"
    status = 404
    exit_code = 46
    sentence = N_("There is no stick here: {folder}.")
    remedy = N_("Check that it is plugged in and mounted, and the name of the folder.")


class StickUnwritable(EdgeboxError):
    """The folder or stick cannot be written or read."""

    code = "sync.stick_failed"
    status = 507
    exit_code = 44
    retryable = True
    sentence = N_("The stick cannot be used ({reason}).")
    remedy = N_("Check that it is plugged in, has free space and is not write-protected.")


class StickFilled(EdgeboxError):
    """There was no room for the next file; those before it are on the stick, whole."""

    code = "sync.stick_full"
    status = 507
    exit_code = 49
    retryable = True
    sentence = N_("The stick {stick} is full: not everything went onto it.")
    remedy = N_(
        "What is on it is whole and can be carried. Make room on it on a computer, or use another stick as well."
    )
