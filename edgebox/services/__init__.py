"""What the box does, as rules plus storage: no SQL and no HTTP in here."""
