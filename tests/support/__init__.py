"""What several test modules stand on: the worlds they act in, the files they read, the messages they send."""
