"""The edge: Envoy, driven by resource files."""
