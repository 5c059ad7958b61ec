"""What runs on a person's machine: the command `firnline`, the local cloud, the radar simulator, the demonstration."""
