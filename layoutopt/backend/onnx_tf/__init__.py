"""The conversion through onnx-tf: everything here but `protocol` runs in a child process that has TensorFlow loaded."""
