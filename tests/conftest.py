"""What every tier of the tests shares."""

from hypothesis import settings

# A shared machine is sometimes slow, so the duration of an example proves nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
