"""Trees, forests and boosting as one ONNX TreeEnsemble."""
