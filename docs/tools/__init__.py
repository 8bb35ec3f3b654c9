"""The machinery of ``docs/`` and the README: pages, drawings, figures. `docs.tools.generate` runs all of it.

A module for each page or subject. Nothing is measured here: figures come from ``benchmarks/results``.
"""
