"""Files of any number of rows → the same files with a version's answers as columns beside them."""
