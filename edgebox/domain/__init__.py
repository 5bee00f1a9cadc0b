"""Pure rules of the classroom: no I/O and no clock in here."""
