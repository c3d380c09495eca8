"""Changes of the wanted state: manifests that are written, edited and taken back; ConfigMaps made of packages."""
