"""cmi5 over HTTP: the fetch address of a launch, and the routes for outside programs that import and launch."""
