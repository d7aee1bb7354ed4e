"""The model server: Open Inference Protocol v2 over HTTP for ONNX models."""

__version__ = "0.1.0"
