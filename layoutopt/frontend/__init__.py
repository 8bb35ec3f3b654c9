"""The ways in: modules of PyTorch, inputs to compute on, and the network of the demo."""
