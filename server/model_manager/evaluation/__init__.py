"""What a version is worth: metrics with intervals, segments, plots, gates; and whether one is better than another."""
