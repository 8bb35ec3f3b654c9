"""One program for each converter, run in its own environment: ``NETWORK MODEL.onnx RESULT.tflite``."""
