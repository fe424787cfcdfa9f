"""What declarations of trainers are written in: parameters, metrics, contradictions, problems. Torch-free."""
