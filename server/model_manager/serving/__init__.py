"""The running system: converge, lease, batch."""
