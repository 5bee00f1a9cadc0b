"""Pages of the box in a real Chromium."""
