"""The bundle: one immutable, signed, sealed file that carries a range of the change log. Pure."""
