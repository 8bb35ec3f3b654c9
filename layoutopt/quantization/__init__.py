"""Post-training quantization of a graph of LiteRT's operators: from samples to int8, judged on other samples."""
