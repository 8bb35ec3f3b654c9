"""What accelerators take of a .tflite, by tables of rules in TOML, each with its source."""
