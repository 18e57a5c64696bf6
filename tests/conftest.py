"""What every tier of the tests shares."""

from hypothesis import settings

# A shared machine is slow now and then, and how long an example takes is no property of ours.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
