"""Work on a study: the loop of a worker, attempts, the trainer process, early ends, what is shown meanwhile."""
