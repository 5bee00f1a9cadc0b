"""What can be wrong with what is asked of a stick; one class per code."""

from content_packs.base.errors import N_, EdgeboxError


class NothingChosen(EdgeboxError):
    """Packs were asked for, but none was named."""

    code = "usb.nothing_chosen"
    status = 400
    exit_code = 48
    sentence = N_("No pack was chosen.")
    remedy = N_("Tick at least one pack, then try again.")


class StickFull(EdgeboxError):
    """What was chosen does not fit on the stick."""

    code = "usb.stick_full"
    status = 507
    exit_code = 120
    sentence = N_("There is too little space on the stick: {needed_mb} MB are needed, {usable_mb} MB can be used.")
    remedy = N_("Choose fewer packs, or use a larger stick.")


class StickLies(EdgeboxError):
    """What was written came back changed, though the stick had said that it was kept."""

    code = "usb.stick_lies"
    status = 409
    exit_code = 121
    sentence = N_(
        "The stick {stick} does not keep what is written on it. It claims {claimed_mb} MB, but after {kept_mb} MB what"
        " came back was damaged."
    )
    remedy = N_("Do not use this stick for anything: it is broken, or smaller than it says. Take another one.")


class StickPlaceTaken(EdgeboxError):
    """Something that is not ours is where a pack has to go; it is left as it is."""

    code = "usb.place_taken"
    status = 409
    exit_code = 122
    sentence = N_("On the stick, something else has the name {place}. It was left as it is.")
    remedy = N_("Rename it on a computer, or use another stick.")


class StickReadOnly(EdgeboxError):
    """The stick may not be written."""

    code = "usb.read_only"
    status = 409
    exit_code = 123
    sentence = N_("Nothing can be written on the stick {stick}.")
    remedy = N_(
        "If it has a small switch against writing, move it. Otherwise ask your technician, or use another stick."
    )


class StickBusy(EdgeboxError):
    """A stick is being filled already."""

    code = "usb.busy"
    status = 409
    exit_code = 124
    retryable = True
    sentence = N_("The box is already filling a stick.")
    remedy = N_("Wait until it is done, then try again.")


class ExportCancelled(EdgeboxError):
    """Somebody stopped filling the stick; what was written stays for the next time."""

    code = "usb.cancelled"
    status = 409
    exit_code = 125
    retryable = True
    sentence = N_("Filling the stick was stopped.")
    remedy = N_("Start again when you like: what was copied is kept.")
