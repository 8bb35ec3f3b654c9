"""Rewrites of a graph of LiteRT's operators that leave what it computes as it is."""
