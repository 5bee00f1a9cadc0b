"""What can be wrong with a list of packs, with the root a box starts from, or with a depot; one class per code.

In `RootRefused` and `DepotRefused` the field `reason` is itself a message id.
"""

from content_packs.base.errors import N_, EdgeboxError


class RootRefused(EdgeboxError):
    """A file that cannot be the beginning of trust."""

    code = "trust.root_refused"
    status = 400
    exit_code = 236
    sentence = N_("This file cannot tell the box whose lists of packs to trust: {reason}.")
    remedy = N_("Get the file edgebox-root.json from the operator of your platform again.")


class ListUnsigned(EdgeboxError):
    """A list that fewer keys signed than the root asks for."""

    code = "trust.list_unsigned"
    status = 403
    exit_code = 237
    sentence = N_("The list of packs is not signed by those who may sign it ({role}).")
    remedy = N_("Do not use this stick or address. Get the list from the operator of your platform.")


class ListRollback(EdgeboxError):
    """A list older than the one the box has seen."""

    code = "trust.list_rollback"
    status = 409
    exit_code = 238
    sentence = N_("The list of packs here is older than the one the box has ({role}).")
    remedy = N_("Nothing is lost: the box goes on with the newer list. Copy the depot to the stick again.")


class ListBroken(EdgeboxError):
    """A list that is damaged, incomplete, or put together from parts of different lists."""

    code = "trust.list_broken"
    status = 409
    exit_code = 239
    retryable = True
    sentence = N_("The list of packs is damaged, or its parts do not belong together ({role}).")
    remedy = N_("Copy the depot again, or try again later.")


class ListTooLarge(EdgeboxError):
    """More bytes than this part of a list may have."""

    code = "trust.list_too_large"
    status = 413
    exit_code = 240
    sentence = N_("A part of the list of packs is larger than it may be: {name}.")
    remedy = N_("Do not use this stick or address. Get the list from the operator of your platform.")


class DepotRefused(EdgeboxError):
    """Something that keeps the operator from publishing."""

    code = "trust.depot_refused"
    status = 409
    exit_code = 241
    sentence = N_("Nothing was published. {place}: {reason}.")
    remedy = N_("Correct it and run the command again.")
