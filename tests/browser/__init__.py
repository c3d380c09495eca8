"""The console in a real browser: what it shows, whether it complains, and whether everybody can use it."""
