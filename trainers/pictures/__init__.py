"""Pictures of a trial: drawn, told broken from sound, scored."""
