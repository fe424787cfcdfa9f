"""What trainers say of themselves: parameters, settings, steps, metrics, memory and time. Torch-free."""
