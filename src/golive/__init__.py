"""golive: from a checkout to verified production, and kept there."""

__version__ = "0.1.0"
