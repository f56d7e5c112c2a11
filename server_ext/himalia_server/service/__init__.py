"""The service: the daemon that owns a site's state, and how it is found, started and stopped."""
