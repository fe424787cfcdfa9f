"""A training run: optimizers, schedules, health, checkpoints, memory, trackers."""
