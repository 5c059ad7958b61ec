"""What a training says of its epochs, in short."""

import re

EPOCH = "epoch="
"""How train.py begins the line of an epoch."""
SHOWN = ("train_loss", "validation_f1_2px", "validation_mae_px", "validation_score")


def short_line(epoch: str) -> str:
    """`epoch=3 train_loss=0.51234; validation_...` of train.py's log with what tells whether it gets better."""
    said = dict(re.findall(r"(\w+)=([0-9.]+)", epoch))
    shown = [f"{name} {float(said[name]):.4f}" for name in SHOWN if name in said]
    return " · ".join([f"epoch {said['epoch']}", *shown])
