"""Which input column moved an answer by how much: Shapley values of one output, by column of the input.

In the flow: serving.explaining → `explainer` → `exact` (trees, linear models, through scalers and encoders, whose
`columns` are traced back) or `coalitions` (any other model, by asking it) → served answer ≟ base value + contributions.
"""
