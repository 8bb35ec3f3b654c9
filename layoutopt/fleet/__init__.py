"""Many models in one run: a process for each, here or on a Dask cluster, and a journal that says what is done."""
