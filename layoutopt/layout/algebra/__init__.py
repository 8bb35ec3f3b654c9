"""Layouts as orders of modes, apart from any graph. What an operator allows belongs to `rules`."""
