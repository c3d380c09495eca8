"""Swaps under fire: a server under steady traffic, and every good and bad thing that its models folder can do to it."""
