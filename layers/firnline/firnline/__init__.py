"""What all parts of Firnline share: frames, layers, keys, the table, events, settings."""
