"""`golive dev`: the services of a checkout, each by its own dev server, behind the routes of its blueprint."""
