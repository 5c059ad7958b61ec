"""`firnline fetch`: frames from archives and lists of addresses into the uploads of a stack."""
