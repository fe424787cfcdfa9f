"""What each trainer says of itself, one file a trainer: the only place that knows a trainer's name. Torch-free."""
