"""What is known before a trial runs: facts, estimates, whether it could start at all."""
