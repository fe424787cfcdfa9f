"""Make the demo models from nothing, and measure them."""
