"""The daemon: one writer of the state and the edge, allowed to die. `server` speaks to clients, `daemon` does the work."""
