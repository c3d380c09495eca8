"""Releases: `cut` rehearses or makes one, `build` makes its files, `publish` brings image and chart to a registry.

`make release`, `make release-files` and `make publish` run them, and so do the workflows in .github; docs/releasing.md
is for those who do it. Nothing here pushes a commit or a tag.
"""
