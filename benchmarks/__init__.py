"""Programs that measure jepsenvm beside its peers."""
