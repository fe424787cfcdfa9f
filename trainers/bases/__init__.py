"""Frozen base models: loaded, what their text and pictures become, and the step that trains beside them."""
