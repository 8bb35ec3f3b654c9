"""A rule for the types and shapes of each operator's results, which `layoutopt.tfl.opset` enters in its table."""
