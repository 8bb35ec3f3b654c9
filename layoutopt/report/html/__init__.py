"""The page of a report: layout of graphs, drawings, charts, templates. Nothing here computes figures."""
