"""The command line: parse, call, print. One file a noun; heavy imports inside what needs them."""
