"""Clients that no one here wrote, each in an environment of its own, against a real server."""
