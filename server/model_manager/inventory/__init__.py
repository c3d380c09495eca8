"""What there is: the versions of a repository or of a running server, their lineage, and what a change would do."""
