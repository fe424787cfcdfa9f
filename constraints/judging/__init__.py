"""Rules compiled and applied: truth and margin of points, verdicts."""
