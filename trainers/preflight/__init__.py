"""What can be known of a job before it trains: base, judges, hub, trackers. Torch-free."""
