"""How near the server comes to what this machine could do at best: python -m loadtests.benchmark."""
