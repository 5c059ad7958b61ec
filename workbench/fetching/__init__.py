"""`firnline fetch`: radar files of data centres, of a list of addresses or of a local tree, into uploads."""
