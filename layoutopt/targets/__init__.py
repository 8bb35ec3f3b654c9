"""The operators of a .tflite that accelerators run, by tables of rules in TOML, each with its source."""
