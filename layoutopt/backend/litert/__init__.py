"""The runtime: .tflite files are run, timed, profiled and looked into. Nothing here writes one."""
