"""The hand-off to onnx-tf: everything here but `protocol` runs in a child process that has TensorFlow loaded."""
