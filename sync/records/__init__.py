"""What may travel: the record kinds, their fields, and the rules by which they merge. Pure."""
