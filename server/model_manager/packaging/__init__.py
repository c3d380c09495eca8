"""What a data scientist hands over: an artifact and what is known of it.

In the flow: `packing` (a model that exists) or `package` (one in memory) → `rehearsal` (with `sample`, `training_data`
and drift's baseline) → `publishing`. Beside it `libraries`, `lineage`, `card` and `signing`: what else is written down.
"""
