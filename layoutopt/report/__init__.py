"""Renderings of results: terminal, page, notebook, overlays. The results themselves are in `results`."""
