"""What each operator allows: THE TABLE (`table`) and what its rows are made of. The closure belongs to `plan`."""
