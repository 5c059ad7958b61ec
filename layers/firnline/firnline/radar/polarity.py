import numpy as np

from firnline.radar.radar_frame import Polarity


def guess_polarity(grey: np.ndarray) -> tuple[Polarity, float]:
    finite = np.isfinite(grey)
    values = grey[finite].astype(np.float64)
    if not values.size or values.std() == 0:
        return "bright-strong", 0.5
    mean, deviation = values.mean(), values.std()
    skewness = np.mean(((values - mean) / deviation) ** 3)
    depths = grey[-max(1, len(grey) // 8) :]
    depths = depths[np.isfinite(depths)]
    background = (mean - np.median(depths)) / deviation if depths.size else 0.0
    return ("dark-strong" if skewness + background < -0.25 else "bright-strong"), 0.8
