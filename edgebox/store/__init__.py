"""The only SQL on the box: one writer thread with group commit, read-only readers, numbered schema steps."""
