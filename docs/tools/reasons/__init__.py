"""What the figures alone do not explain, written by hand; tests hold it to the figures."""
