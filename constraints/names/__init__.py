"""What the names of a rule mean: domains of parameters, facts, signals, and the kinds of expressions."""
