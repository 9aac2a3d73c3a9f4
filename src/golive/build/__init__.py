"""From a service's source to a content-addressed artifact that says how it is started."""
