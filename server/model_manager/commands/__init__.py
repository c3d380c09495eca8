"""The commands beside `serve`: a file each, which reads options, calls into a room, and prints what came of it.

In the flow: cli → **here** → rooms. What takes long to import is imported when a command runs.
"""
