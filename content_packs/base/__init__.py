"""What all three packages stand on: errors, ids, clock, codec, compression, hashes, signatures, atomic files."""
