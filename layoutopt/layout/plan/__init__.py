"""From a graph to the layout of each of its values: candidates, encoding, solution, decoding. No edits."""
