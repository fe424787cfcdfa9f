"""Files and caches: whole or absent, keyed by content; randomness by purpose."""
