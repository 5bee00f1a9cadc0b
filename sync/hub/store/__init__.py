"""The only SQL of the hub, in SQLAlchemy Core without anything that only one database understands."""
