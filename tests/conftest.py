"""What every tier of the tests shares."""

from hypothesis import settings

# A shared machine is sometimes slow, so the duration of an example proves nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# A check of a commit must give the same result each time. Other runs try other examples.
settings.register_profile("repeatable", deadline=None, derandomize=True)
