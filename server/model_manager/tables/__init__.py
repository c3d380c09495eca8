"""A CSV file as people have it → a checked, typed table, and a report of everything that was decided on the way."""
