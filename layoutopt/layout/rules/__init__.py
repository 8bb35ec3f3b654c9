"""The layouts that each operator allows: THE TABLE (`table`) and the parts of its rows. Closure is in `plan`."""
