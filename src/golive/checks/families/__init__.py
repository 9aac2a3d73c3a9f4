"""One module a family. `golive.checks.catalog` lists them."""
