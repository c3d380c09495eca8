"""What runs in the environments of peers: as short as their own documentation writes it. Imports nothing of ours."""
