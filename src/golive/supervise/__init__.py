"""Keeps what a release started running: probes, restarts with back-off, limits, output."""
