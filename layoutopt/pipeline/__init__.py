"""The manager that runs passes in order, and pipelines as text. Passes themselves are in `passes`."""
