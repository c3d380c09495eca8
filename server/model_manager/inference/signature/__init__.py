"""What an estimator takes and gives, found out by asking and trying.

In the flow: `receivers` (what sees the client's rows) → `column_types` → `inputs`; then `outputs` and `nullability`
are tried out, on the first of the `presentations` that works. The way in is infer_signature.
"""
