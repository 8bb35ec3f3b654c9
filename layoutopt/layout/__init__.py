"""The choice of layouts as theory: nothing here edits a graph.

Rooms, each of which imports only those before it: `algebra` (orders of modes), `solver` (the problem without ONNX),
`costs` (bytes, time, arithmetic), `rules` (what each operator allows), `plan` (from a graph to a chosen layout for each
of its values), `explain` (why a plan is as it is). `analysis` holds what the passes before the choice need to know of a
graph. Edits belong to the passes.
"""
