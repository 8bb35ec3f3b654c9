"""Networks, peers and the scripts that write the tables in ``docs/``."""
