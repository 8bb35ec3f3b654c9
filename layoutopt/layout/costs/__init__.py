"""The costs of moving data and of arithmetic. What is chosen by these costs belongs to `plan`."""
