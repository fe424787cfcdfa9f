"""One trial: job file in, events, images and weights out. No database, no Optuna, no rules."""
