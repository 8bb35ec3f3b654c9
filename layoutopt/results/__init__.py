"""What the API returns: frozen data, ready for JSON. Nothing here computes, measures or draws."""
