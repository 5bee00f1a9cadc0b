"""The pack format (docs/formats.md, section Pack): manifest, envelope, names, layout. Pure: bytes in, values out."""
