"""Explanations that the figures alone do not give, written by hand; tests hold them to the figures."""
