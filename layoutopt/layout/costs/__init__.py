"""What it costs to move data, and what arithmetic costs. What is chosen by these costs belongs to `plan`."""
