"""Course packs: their format, building, signing, verifying and installing; and `base`, what all packages share."""
