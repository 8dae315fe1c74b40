"""Real mail programs against the running server."""
