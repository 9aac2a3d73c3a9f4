"""An article in, a numbered thread out."""
