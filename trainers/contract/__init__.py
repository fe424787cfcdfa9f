"""Between a trainer process and who starts it: job, events, paths, milestones, failures, exit codes. Torch-free."""
