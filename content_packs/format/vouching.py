"""Why a pack that is signed by a known key is refused all the same; one class per code.

In `LocalPackRefused` the field `reason` is itself a message id, as in the errors of `content_packs.format.errors`.
"""

from content_packs.base.errors import N_, EdgeboxError


class PackNotListed(EdgeboxError):
    """The list of packs does not have this version with this content from this publisher."""

    code = "pack.not_listed"
    status = 403
    exit_code = 232
    sentence = N_("The list of packs this box goes by does not have version {offered} of {pack} in this form.")
    remedy = N_("Bring a stick with a newer list, or ask the publisher to publish this version.")


class PackWithdrawn(EdgeboxError):
    """The publisher or the platform took this version back."""

    code = "pack.withdrawn"
    status = 403
    exit_code = 233
    sentence = N_("Version {offered} of {pack} was withdrawn by those who published it.")
    remedy = N_("Do not load it. Look for a newer version.")


class ListExpired(EdgeboxError):
    """The list of packs is past its day, and the clock that says so is trusted."""

    code = "pack.list_expired"
    status = 403
    exit_code = 234
    sentence = N_("The list of packs is out of date since {since}, so new packs from it cannot be trusted.")
    remedy = N_("Bring a stick with a newer list. Packs on the box go on working.")


class LocalPackRefused(EdgeboxError):
    """A pack made at a school that breaks a rule for such packs."""

    code = "pack.local_refused"
    status = 403
    exit_code = 235
    sentence = N_("{pack} cannot be loaded as a pack made at this school: {reason}.")
    remedy = N_("Take out what the message names, or ask your technician.")


REFUSALS = (PackNotListed, PackWithdrawn, ListExpired, LocalPackRefused)
