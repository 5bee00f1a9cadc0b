"""Who may publish which pack: a signed list after The Update Framework (TUF), the same by line and by stick."""
