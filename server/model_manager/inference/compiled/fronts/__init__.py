"""Rows → the matrix that the last estimator of a pipeline is given; `front` is the way in.

Columns of categories are looked up (`category_tables`), columns of numbers computed (`column_steps`).
"""
