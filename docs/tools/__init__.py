"""What makes the pages and drawings of ``docs/`` and the figures of the README; `docs.tools.generate` runs all of it.

A module for each page or subject. Nothing is measured here: figures come from ``benchmarks/results``.
"""
