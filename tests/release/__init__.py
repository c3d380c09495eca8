"""A release from the commit to the cluster, against a real index and real registries on this machine."""
