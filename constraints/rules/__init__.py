"""Rule files: read, checked, explained, tested by their own examples."""
