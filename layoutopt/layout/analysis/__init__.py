"""Analyses of a graph that rewrites need before layouts are chosen. The rewrites themselves are passes."""
