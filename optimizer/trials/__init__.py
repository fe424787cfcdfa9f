"""The life of a trial: proposed, claimed, concluded, told, once."""
