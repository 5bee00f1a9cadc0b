"""Pages and API of the box: one table of routes, one guard around all handlers."""
