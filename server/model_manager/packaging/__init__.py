"""What a data scientist hands over: an artifact and what is known of it.

In the flow: `package` (the way in) → `rehearsal` (with `sample` and `baseline`) → `publishing`.
"""
