"""How well and how fast the search proposes: regret, latency and many workers. `python -m benchmarks.search --help`."""
