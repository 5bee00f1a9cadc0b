"""Bundles and the protocol between box and hub, their transports, and the hub itself."""
