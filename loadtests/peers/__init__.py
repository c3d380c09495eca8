"""Other inference servers beside this one, in one run: the same models, the same rows, the same generator."""
