"""The rules of cmi5 (quartz, first edition) for whoever launches units: pure decisions on statements and sessions."""
