"""What scientists take away: depths, thicknesses, accumulation, their uncertainty, and the files that hold them.

Pure functions on arrays and typed models, one module for each form of file; none knows AWS. The Lambda layer carries
neither pyproj nor geopandas: `track` and the writers run on a person's machine, and those that need pyproj alone in
`export_segment`, too.
"""
