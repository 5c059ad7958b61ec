"""Products of the frames that a stack holds: which, how they are read, and how they are written, on a machine or in the cloud.

A person's machine has all of the writers' packages. The function `export_segment` has the layer's and pyproj.
"""
