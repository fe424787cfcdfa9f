"""The search: proposals by any Optuna sampler, under rules, from what is known of trials."""
