"""One file a model family: load, adapt, train, save, draw, score. Read a recipe from top to bottom."""
