import os

# ONNX Runtime reads it as it is loaded; without it, it keeps events in the home directory and sends them to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
