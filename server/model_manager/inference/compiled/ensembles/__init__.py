"""Estimators made of estimators → heads that ask a head for every part, and combine what they answer.

`parts` says what a part is; votes, stacks, calibration and one-against-the-rest each combine in their own way.
"""
