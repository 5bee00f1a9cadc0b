"""How a bundle's bytes get from a box to a hub: by HTTP or in a folder on a stick."""
