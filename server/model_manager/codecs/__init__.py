"""Bytes ⇄ arrays, per protocol; no Starlette, no model."""
