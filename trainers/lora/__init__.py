"""What a LoRA of a diffusion model is, whoever trains it: parameters, settings, steps, sections, memory. Torch-free."""
