"""Who lists files: NSIDC through `earthaccess`, Open Polar Radar through `xopr`. Both are extras of the installation.

What they ask and how they log in is theirs: credentials are read from the user's own netrc by `earthaccess`, and kept nowhere.
"""

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import shapely

from firnline.errors import Refused
from firnline.products.track import Box
from workbench.fetching.items import Item

_HOW_TO_INSTALL = "`make fetch-extras` installs it"
_RADAR_SUFFIXES = (".nc", ".mat")


def _imported(name: str, purpose: str) -> Any:
    """An extra package; `Refused`, with what to do, where it is not installed."""
    if importlib.util.find_spec(name) is None:
        raise Refused(f"{purpose} needs the package {name}, which is not installed: {_HOW_TO_INSTALL}.")
    return importlib.import_module(name)


def nsidc(
    short_name: str, box: Box | None, dates: tuple[str, str] | None, campaign: str | None, most: int
) -> tuple[Any, list[Item]]:
    """(a session that is logged in, the files of a product of NSIDC): `short_name` as IRSNO1B, in a box and between dates.

    `Refused` where the user has no netrc for Earthdata, or it is not accepted.
    """
    earthaccess = _imported("earthaccess", "fetching from NSIDC")
    from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable

    try:
        login = earthaccess.login(strategy="netrc", persist=False)
    except (LoginAttemptFailure, LoginStrategyUnavailable) as error:
        raise Refused(
            f"Earthdata does not let you in ({error}): have a line `machine urs.earthdata.nasa.gov login … password …` in your "
            "~/.netrc; an account is free at urs.earthdata.nasa.gov."
        ) from error
    if not login.authenticated:
        raise Refused("There are no credentials for urs.earthdata.nasa.gov in your ~/.netrc: an account there is free.")
    asked: dict[str, Any] = {"short_name": short_name, "count": most}
    if box is not None:
        asked["bounding_box"] = (box.west, box.south, box.east, box.north)
    if dates is not None:
        asked["temporal"] = dates
    links = (link for granule in earthaccess.search_data(**asked) for link in granule.data_links(access="external"))
    items = [Item.of(link, campaign or short_name) for link in links if link.lower().endswith(_RADAR_SUFFIXES)]
    return earthaccess.get_requests_https_session(), items


def open_polar_radar(
    season: str | None,
    segment: str | None,
    box: Box | None,
    dates: tuple[str, str] | None,
    product: str,
    campaign: str | None,
    most: int,
) -> Iterator[Item]:
    """The frames of Open Polar Radar's catalogue: of a season as 2012_Greenland_P3, a segment, a box or dates.

    product : of the frames, as CSARP_standard, CSARP_qlook or CSARP_mvdr
    """
    xopr = _imported("xopr", "fetching from Open Polar Radar")
    asked: dict[str, Any] = {"max_items": most}
    if season:
        asked["collections"] = [season]
    if segment:
        asked["segment_paths"] = [segment]
    if box is not None:
        asked["geometry"] = shapely.box(box.west, box.south, box.east, box.north)
    if dates is not None:
        asked["date_range"] = "/".join(dates)
    frames = xopr.OPRConnection().query_frames(**asked)
    if frames is None:
        return
    for _, frame in frames.iterrows():
        asset = frame["assets"].get(product)
        if asset is None:
            raise Refused(
                f"Frame {frame.name} has no {product}; it has {', '.join(frame['assets'])}: choose another --product."
            )
        yield Item.of(asset["href"], campaign or frame["collection"])
