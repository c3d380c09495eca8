"""Arrays → arrays: the only room that knows scikit-learn and joblib.

An artifact becomes an estimator (`estimator_files`), is asked what it takes and gives (the room signature), answers
behind one interface (`predictor`), is held to what its author saw (`golden`), and is answered for by faster
equivalents once these are proven (the room compiled).
"""
