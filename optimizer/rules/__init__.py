"""The rules of a study: followed while it runs, and what else stands against a point."""
