"""The central platform: takes bundles from boxes, keeps what they record, shows an operator how schools are doing."""
