"""From a file somebody brings to a pack: what it is, whether it is safe, and what of it can be learned with."""
