"""The pack format (docs/pack-format.md): manifest, envelope, names, layout. Pure: bytes in, values out."""
