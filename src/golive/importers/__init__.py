"""What other platforms' files say, as a golive.toml: pure over their text, every key carried over or listed."""
