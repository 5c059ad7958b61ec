"""One NetCDF-4 file a frame, with the attributes of CF-1.10 and ACDD-1.3."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from firnline.geodesy import wrapped
from firnline.products.credits import Credits
from firnline.products.files import Unfinished
from firnline.products.frame_product import NUMBERING_MEANS, STATUS_MEANS, FrameProduct

_STATUSES = tuple(STATUS_MEANS)
_EPOCH = "seconds since 1970-01-01T00:00:00Z"
_COMPRESSED = {"zlib": True, "complevel": 4}
_FILL = 9.969209968386869e36


class NetcdfFrames:
    """`netcdf/<campaign>/<segment>/<frame>.nc`."""

    def __init__(self, folder: Path, credits: Credits = Credits()) -> None:  # noqa: B008 (it is frozen)
        self._folder = folder / "netcdf"
        self._credits = credits
        self._done: list[Path] = []

    def add(self, product: FrameProduct) -> None:
        file = Unfinished(self._folder / product.campaign / product.segment / f"{product.stem}.nc")
        data = dataset(product).assign_attrs(self._credits.attributes)
        encoding: dict[str, dict[str, Any]] = {
            str(name): {**_COMPRESSED, "_FillValue": _FILL}
            if values.dtype.kind == "f" and values.ndim
            else {"_FillValue": None}
            for name, values in data.variables.items()
        }
        encoding["time"] = {"_FillValue": _FILL}
        data.to_netcdf(file.part, engine="h5netcdf", encoding=encoding)
        self._done.append(file.finish())

    def close(self) -> list[Path]:
        return self._done


def dataset(product: FrameProduct) -> xarray.Dataset:
    """The product of a frame on `trace` and `horizon`; unknown is missing."""
    depth, thickness, accumulation = product.depth_interval, product.thickness_interval, product.accumulation_interval
    both, along = ("horizon", "trace"), ("trace",)
    names = [horizon.name for horizon in product.horizons]
    status = np.full(len(names), _STATUSES.index(product.provenance.status), np.int8)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, Any]]] = {
        "two_way_travel_time": (both, product.twtt_s, {"long_name": "two-way travel time of the horizon", "units": "s"}),
        "depth": (both, product.depth_m, {
            "long_name": "depth of the horizon below the surface", "standard_name": "depth", "units": "m", "positive": "down",
            "ancillary_variables": "depth_uncertainty depth_uncertainty_95 status",
            "comment": product.assumptions.statement}),
        "depth_uncertainty": (both, depth.sigma, _error("depth", "68 %", "m") | {"standard_name": "depth standard_error"}),
        "depth_uncertainty_95": (both, depth.wide, _error("depth", "95 %", "m")),
        "horizon_altitude": (both, product.elevation_m, {
            "long_name": "height of the horizon above the ellipsoid", "standard_name": "height_above_reference_ellipsoid",
            "units": "m"}),
        "thickness": (both, product.thickness_m, {
            "long_name": "thickness from the horizon down to the next", "units": "m",
            "ancillary_variables": "thickness_uncertainty thickness_uncertainty_95 status"}),
        "thickness_uncertainty": (both, thickness.sigma, _error("thickness", "68 %", "m")),
        "thickness_uncertainty_95": (both, thickness.wide, _error("thickness", "95 %", "m")),
        "sample": (both, product.sample, {"long_name": "sample of the uploaded file, from 0", "units": "1"}),
        "confidence": (both, product.confidence, {
            "long_name": "expected share of the horizon's traces within two rows of the truth", "units": "1"}),
        "status": (("horizon",), status, {
            "long_name": "what is known of the horizon", "standard_name": "status_flag",
            "flag_values": np.arange(len(_STATUSES), dtype=np.int8), "flag_meanings": " ".join(_STATUSES),
            "comment": "; ".join(f"{name}: {meaning}" for name, meaning in STATUS_MEANS.items())}),
        "surface_altitude": (along, product.surface_m, {
            "long_name": "height of the surface above the ellipsoid", "standard_name": "height_above_reference_ellipsoid",
            "units": "m"}),
        "platform_altitude": (along, product.platform_m, {
            "long_name": "height of the antenna above the ellipsoid", "standard_name": "height_above_reference_ellipsoid",
            "units": "m"}),
        "distance": (along, product.distance_m, {"long_name": "distance along the track", "units": "m"}),
    }  # fmt: skip
    if (product.labels == "bed").any():
        variables["land_ice_thickness"] = (along, product.ice_thickness_m, {
            "long_name": "depth of the bed", "standard_name": "land_ice_thickness", "units": "m"})  # fmt: skip
    if (product.numbers == 1).any():
        variables["first_layer_depth"] = (along, product.snow_depth_m, {
            "long_name": "depth of the first layer below the surface, the snow depth where that is the last summer's",
            "units": "m"})  # fmt: skip
    if product.assumptions.annual:
        variables |= {
            "accumulation": (both, product.accumulation_m_we_a, {
                "long_name": "water equivalent of the layer below the horizon, a year", "units": "m year-1",
                "ancillary_variables": "accumulation_uncertainty accumulation_uncertainty_95",
                "comment": product.assumptions.annual.statement}),
            "accumulation_uncertainty": (both, accumulation.sigma, _error("accumulation", "68 %", "m year-1")),
            "accumulation_uncertainty_95": (both, accumulation.wide, _error("accumulation", "95 %", "m year-1")),
        }  # fmt: skip
    for name, (_, _, attributes) in variables.items():
        quality = name in ("confidence", "status") or "uncertainty" in name
        attributes["coverage_content_type"] = "qualityInformation" if quality else "physicalMeasurement"
    coordinates: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, Any]]] = {
        "time": (along, product.utc_s, {
            "long_name": "time of the trace, UTC", "standard_name": "time", "units": _EPOCH, "calendar": "standard",
            "axis": "T"}),
        "latitude": (along, product.latitude, {
            "long_name": "latitude", "standard_name": "latitude", "units": "degrees_north"}),
        "longitude": (along, product.longitude, {
            "long_name": "longitude", "standard_name": "longitude", "units": "degrees_east"}),
        "trace": (along, np.arange(product.frame.file_traces, dtype=np.int32), {
            "long_name": "trace of the uploaded file, from 0", "units": "1"}),
        "horizon": (("horizon",), np.arange(len(names), dtype=np.int32), {
            "long_name": "horizon, from above to below", "units": "1"}),
        "horizon_name": (("horizon",), np.array(names, dtype=object), {
            "long_name": "name of the horizon; " + NUMBERING_MEANS[product.numbering]}),
    }  # fmt: skip
    return xarray.Dataset(variables, coordinates, _attributes(product))


def _error(of: str, share: str, units: str) -> dict[str, Any]:
    return {"long_name": f"half width that holds {share} of the errors of the {of}", "units": units}


def _attributes(product: FrameProduct) -> dict[str, Any]:
    """ACDD's attributes, as far as the frame tells them."""
    origin, now = product.provenance, datetime.now(UTC).isoformat(timespec="seconds")
    given: dict[str, Any] = {
        "Conventions": "CF-1.10, ACDD-1.3",
        "title": f"Layers of ice and snow in radar frame {product.frame_id}",
        "summary": (
            f"Horizons of a radar echogram with depth, elevation, thickness and uncertainty. They are {origin.status}: "
            f"{STATUS_MEANS[origin.status]}."
        ),
        "keywords": "radar, ice thickness, snow depth, internal layers, accumulation",
        "id": f"{product.frame_id}/{product.frame.revision}",
        "naming_authority": "firnline",
        "source": f"radar echogram, {product.frame.format}; layers: {origin.source}",
        "history": f"{now} exported by firnline",
        "processing_level": f"layers {origin.status}",
        "comment": product.assumptions.statement,
        "date_created": now,
        "project": product.campaign,
        "cdm_data_type": "Trajectory",
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "firnline_status": origin.status,
        "firnline_source": origin.source,
        "firnline_model_version": origin.model_version or "",
        "firnline_correction": origin.correction or "",
        "firnline_layers_date": origin.date.isoformat(timespec="seconds"),
    }
    for name, values in (("lat", product.latitude), ("lon", product.longitude)):
        known = values[np.isfinite(values)]
        if known.size:
            least, most = (known.min(), known.max()) if name == "lat" else edges_of(known)
            given |= {f"geospatial_{name}_min": float(least), f"geospatial_{name}_max": float(most)}
            given[f"geospatial_{name}_units"] = "degrees_north" if name == "lat" else "degrees_east"
    known = product.utc_s[np.isfinite(product.utc_s)]
    if known.size:
        for name, moment in (("start", known.min()), ("end", known.max())):
            told = datetime.fromtimestamp(float(moment), UTC).isoformat(timespec="seconds")
            given[f"time_coverage_{name}"] = told.replace("+00:00", "Z")
    return given


def edges_of(longitude: np.ndarray) -> tuple[float, float]:
    """The western and the eastern edge of a track (points,), in degrees from -180 to 180: where it crosses the date line the
    western one is the larger number, as ACDD has it.
    """
    along = np.unwrap(longitude, period=360.0)
    if np.ptp(along) >= 360.0:
        return -180.0, 180.0
    return wrapped(float(along.min())), wrapped(float(along.max()))
