"""Sticks: what lies on them, read without trust, and pack folders written so that they survive being pulled."""

from content_packs.usb.scanning import Look, PackOffer, look, read_offer, scan

__all__ = ["Look", "PackOffer", "look", "read_offer", "scan"]
