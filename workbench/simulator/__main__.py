"""`python -m workbench.simulator CAMPAIGN OUT_DIR`: write frames of a simulated campaign with their true layers."""

import argparse
from pathlib import Path

from .campaigns import campaigns
from .survey import simulate_campaign


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaign", choices=campaigns)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--segments", type=int, default=3)
    options = parser.parse_args()
    written = simulate_campaign(options.campaign, options.out_dir, options.frames, options.segments)
    print(f"{len(written)} frames in {options.out_dir}, their true layers in {options.out_dir / 'truth'}")


if __name__ == "__main__":
    main()
