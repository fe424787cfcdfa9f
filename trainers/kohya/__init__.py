"""kohya's sd-scripts: its settings, its data set, what it refuses, and whether it is there at all. Torch-free."""
