"""Radar files: their formats, what they hold, and the annotations that lie beside them."""
