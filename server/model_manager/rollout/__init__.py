"""Whether a version under canary is worse than the one it should replace, read from Prometheus."""
