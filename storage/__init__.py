"""Everything that is remembered: Postgres, rule versions, leases, attempts, refusals, results and artifacts."""
