"""Pictures for a paper: radargrams with their layers, maps of the tracks, histograms."""
