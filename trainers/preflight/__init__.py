"""What can be known of a job before it trains: base, scorers, hub, trackers. Torch-free."""
