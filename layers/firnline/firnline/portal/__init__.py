"""The page on which people review frames where Amazon A2I does not show them."""
