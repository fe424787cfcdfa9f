"""What rules do to a whole space: counted, proved with z3, or sampled."""
