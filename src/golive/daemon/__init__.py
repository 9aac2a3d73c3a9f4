"""The daemon: one writer of the state and the edge, allowed to die. `server` is its door, `daemon` does the work."""
