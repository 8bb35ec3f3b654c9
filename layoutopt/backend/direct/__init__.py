"""From a graph of LiteRT's operators to a .tflite, without TensorFlow."""
