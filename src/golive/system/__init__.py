"""The few doors to the world: processes, users, files, the machine."""
