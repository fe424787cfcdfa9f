"""Rules and finished trials: what rules would have done, and what failures teach."""
