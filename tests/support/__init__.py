"""Fakes of clocks, sticks and links, and makers of test input."""
