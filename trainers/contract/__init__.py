"""Between a trainer process and who starts it: job, events, paths, points, failures, exit codes. Torch-free."""
