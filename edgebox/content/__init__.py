"""The second origin: files of installed packs and nothing else. It knows no cookie, no person and no database."""
