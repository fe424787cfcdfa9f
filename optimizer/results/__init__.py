"""What came of trials: records, statistics, ledger, tables, exports."""
