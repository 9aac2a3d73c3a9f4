"""What the user wants: `golive.toml`, read, completed and checked. Pure models; only `load` and `detect` read files."""
