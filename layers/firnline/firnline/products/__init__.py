"""What scientists take away: depths, thicknesses, accumulation, their uncertainty, and the files that hold them.

Pure functions on arrays and typed models, one module for each form of file; none knows AWS. The Lambda layer carries
neither pyproj nor geopandas, so only a person's machine runs `track` and the writers.
"""
