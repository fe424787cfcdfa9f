"""The LoRA: put into a model, measured, taken out, written to files."""
