"""``python -m layoutopt`` is ``layoutopt``."""

from layoutopt.cli import main

main()
