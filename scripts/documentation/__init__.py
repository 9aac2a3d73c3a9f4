"""Pages and pictures that are made from the program itself."""
