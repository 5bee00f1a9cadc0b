"""Sender and receiver as state machines: events in, new state and actions out. No I/O, no clock, no randomness."""
