"""Rules: text to verdict. Pure: no database, no Optuna, no torch."""
