"""Results as tables and trees for a terminal. Nothing here computes figures."""
