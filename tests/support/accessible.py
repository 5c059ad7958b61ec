"""What axe-core finds on a page, as a test reads it."""

from axe_playwright_python.sync_playwright import Axe

SCHEMES = ("dark", "light")
"""What a person's system asks pages for. Firnline's own are dark in both."""


def violations(tab):
    """(rule, [element]) of everything that axe-core finds on the page as it is, whatever colours the system asks for."""
    found = []
    for scheme in SCHEMES:
        tab.emulate_media(color_scheme=scheme)
        for one in Axe().run(tab).response["violations"]:
            found.append((scheme, one["id"], [node["html"] for node in one["nodes"]]))
    return found
