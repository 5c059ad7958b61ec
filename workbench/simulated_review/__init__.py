"""A scripted corrector that may only do what the review page's editor offers, and what its corrections are worth."""

from .corrector import Corrected, Drawn, correct

__all__ = ["Corrected", "Drawn", "correct"]
