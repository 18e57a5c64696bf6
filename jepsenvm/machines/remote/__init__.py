"""Programs that run on the hosts. They are sent as source and use only the standard library."""
