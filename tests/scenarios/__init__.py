"""Whole days in a school, with the real programs and a real browser."""
