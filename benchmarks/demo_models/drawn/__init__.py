"""The drawn world of the demo: what its tiny models are taught, and the character a LoRA has to learn."""
