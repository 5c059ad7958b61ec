"""What travels: frames, layers, the answers of an endpoint, and the pictures of them."""
