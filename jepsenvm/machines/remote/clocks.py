"""Read this host's wall clock repeatedly for a second.

Prints {"ahead": [seconds ahead of the monotonic clock], "clock": instant}; the last of these
readings is that of "clock", the wall clock just before the answer goes out.
"""

from __future__ import annotations

import json
import time

READINGS, PAUSE_S = 25, 0.04


def main() -> None:
    """Print the readings."""
    ahead = []
    for _ in range(READINGS):
        time.sleep(PAUSE_S)
        wall = time.time()
        ahead.append(wall - time.monotonic())
    print(json.dumps({"ahead": ahead, "clock": wall}))


if __name__ == "__main__":
    main()
