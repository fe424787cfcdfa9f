"""Text in, nodes out: YAML with positions, expressions, and the errors that name a place."""
