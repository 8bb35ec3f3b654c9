"""What rewrites need to know of a graph before layouts are chosen. The rewrites themselves are passes."""
