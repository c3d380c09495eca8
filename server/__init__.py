"""model-manager: an online inference server for scikit-learn models that converges to a mounted folder."""

__version__ = "0.1.0"
