"""The web process: optuna-dashboard at the root, Tuneguard's own pages below `/tuneguard`, one door before both."""
