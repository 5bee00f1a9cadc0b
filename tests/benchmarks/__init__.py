"""Figures printed beside their goals and peers, in one run: `make bench`."""
