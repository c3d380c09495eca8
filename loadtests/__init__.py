"""Load put on a server: Locust's users, held to limits, and the benchmark against the server's ceilings."""
