"""The results of the API: frozen data, ready for JSON. Nothing here computes, measures or draws."""
