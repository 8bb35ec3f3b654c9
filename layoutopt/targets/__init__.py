"""Which operators of a .tflite accelerators run, by tables of rules in TOML, each with its source."""
