"""The pictures of the README and the documentation: a frame, what the model proposes, what the reviewer submits."""
