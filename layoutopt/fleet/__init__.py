"""Many models in one run: a process for each, here or on a Dask cluster, and a journal of what is done."""
