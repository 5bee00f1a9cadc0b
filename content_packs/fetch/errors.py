"""What can go wrong when pack files are fetched over a line."""

from content_packs.base.errors import N_, EdgeboxError


class SourceDown(EdgeboxError):
    """A source cannot be reached, went silent, or the line broke; what came is kept."""

    code = "fetch.source_down"
    status = 503
    exit_code = 242
    retryable = True
    sentence = N_("{source} cannot be reached ({reason}).")
    remedy = N_("What was fetched is kept. The box tries again by itself; a stick works as well.")


class SourceCaptured(EdgeboxError):
    """An answer that is not from a depot: a sign-in page, a proxy, another program."""

    code = "fetch.source_captured"
    status = 502
    exit_code = 243
    retryable = True
    sentence = N_("Another page answered instead of {source} ({reason}).")
    remedy = N_("Sign in to the network that the box uses, or check the address. Nothing of the page was kept.")


class NotOffered(EdgeboxError):
    """No source has the file."""

    code = "fetch.not_offered"
    status = 404
    exit_code = 244
    sentence = N_("None of the places the box knows has {file}.")
    remedy = N_("Check the address of the depot, or load the pack from a stick.")


class FetchPaused(EdgeboxError):
    """The day's bytes are used up, or it is not the hour to fetch."""

    code = "fetch.paused"
    status = 503
    exit_code = 245
    retryable = True
    sentence = N_("Fetching is paused: the bytes for today are used, or it is not the time for it.")
    remedy = N_("It goes on by itself. Your technician can change the limit and the hours.")


class SourceLied(EdgeboxError):
    """What came is not what was signed; nothing of it was kept."""

    code = "fetch.source_lied"
    status = 502
    exit_code = 246
    sentence = N_("What {source} sent of {file} is not what was signed.")
    remedy = N_("Nothing of it was kept. If it happens again, tell the operator of that place.")


class AddressInvalid(EdgeboxError):
    """Not an address to fetch from."""

    code = "fetch.address_invalid"
    status = 400
    exit_code = 247
    sentence = N_("{address} is not an address to fetch packs from.")
    remedy = N_("It begins with http:// or https:// and names the folder that holds the depot.")
