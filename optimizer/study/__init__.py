"""The study: the file as written, the record it becomes, its space."""
