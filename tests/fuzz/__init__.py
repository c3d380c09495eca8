"""Hostile input: what each reader of foreign bytes promises, as functions that raise when it is broken.

`targets.py` has the promises; the tests of this folder hold them for cases that broke them once and for what hypothesis
makes up; `python -m tests.fuzz` (`make fuzz`) lets a fuzzer look for more, guided by the branches it reaches.
"""
