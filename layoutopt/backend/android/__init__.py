"""Android phones: reached through adb, and models timed on them."""
