"""How fast the diffusion LoRA trainer is, beside a plain loop. `python -m benchmarks.trainer --help`."""
