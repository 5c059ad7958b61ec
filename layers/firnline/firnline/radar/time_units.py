"""What files say of time: units of fast time, and the clock of the traces as GPS seconds since 1970.

Units are written as UDUNITS takes them (CF conventions 1.11, 3.1 and 4.4), and as people write them.
"""

import re
from datetime import UTC, datetime, timedelta

import numpy as np

_PREFIXES = {
    "": 1.0, "m": 1e-3, "milli": 1e-3, "u": 1e-6, "mu": 1e-6, "micro": 1e-6, "n": 1e-9, "nano": 1e-9, "p": 1e-12,
    "pico": 1e-12,
}  # fmt: skip
_SECONDS = re.compile(r"(|m|milli|u|mu|micro|n|nano|p|pico)[ _-]?(?:s|secs?|seconds?|secondes?)\Z")
_LONGER = {
    "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hrs": 3600.0,
    "hour": 3600.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip
_FACTOR = re.compile(r"(?:10\s*(?:\^|\*\*)?\s*|1(?:\.0*)?\s*e\s*)\(?([+-]\d{1,2})\)?\s*[*x·]?\s*(.+)\Z")
_WORDS_OF_TIME = re.compile(r"[\s,;/_-]*(?:(?:two|one|2|1)[ -]?way|twtt?|travel|fast|time|of|in)\b[\s,;/_-]*")
_SINCE = re.compile(
    r"(?P<unit>.+?)\s+(?:since|from|after|ref)\s+(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:(?:\s*T\s*|\s+)(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d{1,2}(?:\.\d*)?))?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|(?:UTC|GMT)?\s*[+-]?\d{1,2}(?::?\d{2})?)?\s*(?:\(?\s*(?:UTC|GMT|GPS|TAI)?\s*\)?)\Z",
    re.IGNORECASE,
)
_REAL_CALENDARS = ("", "standard", "gregorian", "proleptic_gregorian", "utc", "none")
_LEAP_SECONDS = [
    (1981, 7, 1), (1982, 7, 2), (1983, 7, 3), (1985, 7, 4), (1988, 1, 5), (1990, 1, 6), (1991, 1, 7), (1992, 7, 8),
    (1993, 7, 9), (1994, 7, 10), (1996, 1, 11), (1997, 7, 12), (1999, 1, 13), (2006, 1, 14), (2009, 1, 15),
    (2012, 7, 16), (2015, 7, 17), (2017, 1, 18),
]  # fmt: skip
"""(year, month, seconds): GPS time minus UTC from the first of that month on (IERS Bulletin C)."""
_LEAP_FROM_S = np.array([datetime(year, month, 1, tzinfo=UTC).timestamp() for year, month, _ in _LEAP_SECONDS])


def seconds_per_unit(units: str) -> float | None:
    """How many seconds one of `units` has; None where they name no time. "µs", "microseconds (TWT)", "1e-6 s" ..."""
    text = units.strip().lower().replace("µ", "u").replace("μ", "u").replace("\xc2", "")
    inside = re.findall(r"[(\[](.*?)[)\]]", text)
    for words in (re.sub(r"[(\[].*?[)\]]", " ", text), *inside, text):
        plain = _WORDS_OF_TIME.sub(" ", words).strip(" .")
        factor = 1.0
        if scaled := _FACTOR.match(plain):
            factor, plain = 10.0 ** int(scaled.group(1)), scaled.group(2).strip()
        if short := _SECONDS.match(plain):
            return factor * _PREFIXES[short.group(1)]
        if plain in _LONGER:
            return factor * _LONGER[plain]
    return None


def gps_minus_utc(utc_s: np.ndarray) -> np.ndarray:
    """Leap seconds between GPS time and UTC at UTC times in seconds since 1970, each at its own date."""
    leaps = np.array([0] + [seconds for _, _, seconds in _LEAP_SECONDS])
    return leaps[np.searchsorted(_LEAP_FROM_S, utc_s, side="right")]


def gps_time(values: np.ndarray, units: str, calendar: str, description: str) -> tuple[np.ndarray, str] | None:
    """Times of the traces, "<unit> since <date>", as GPS seconds since 1970, which is how layer files count, and a note.

    They are UTC unless `units` or `description` (the variable's names) call them GPS time. None where `units` have
    another form, or the calendar is a climate model's.
    """
    since = _SINCE.match(" ".join(units.split()))
    if since is None or calendar.strip().lower() not in _REAL_CALENDARS:
        return None
    step = seconds_per_unit(since["unit"])
    try:
        epoch = datetime(int(since["year"]), int(since["month"]), int(since["day"]), tzinfo=UTC)
    except ValueError:
        return None
    if step is None:
        return None
    epoch += timedelta(
        hours=int(since["hour"] or 0), minutes=int(since["minute"] or 0), seconds=float(since["second"] or 0)
    ) - _zone(since["zone"])
    count = np.asarray(values)
    # Nanoseconds since 1970 have more digits than a double: whole ones are split first.
    if count.dtype.kind in "iu" and step < 1e-3:
        whole = round(1 / step)
        seconds = (count // whole).astype(np.float64) + (count % whole) * step
    else:
        seconds = count.astype(np.float64) * step
    utc_s = seconds + epoch.timestamp()
    words = f"{units} {description}".upper()
    if re.search(r"\bGPS\b", words.replace("_", " ")) and not re.search(r"\b(UTC|GMT)\b", words.replace("_", " ")):
        return utc_s, f"time of the traces read as GPS time, {units[:60]}"
    leaps = gps_minus_utc(utc_s)
    known = leaps[np.isfinite(utc_s)]
    if not known.size:
        return None
    return utc_s + leaps, f"time of the traces converted from UTC to GPS time (+{int(known[0])} s)"


def _zone(text: str | None) -> timedelta:
    """A zone's lead over UTC."""
    digits = re.search(r"([+-]?)(\d{1,2})(?::?(\d{2}))?", text or "")
    if digits is None:
        return timedelta()
    lead = timedelta(hours=int(digits[2]), minutes=int(digits[3] or 0))
    return -lead if digits[1] == "-" else lead
