# SPDX-License-Identifier: Apache-2.0
"""One seed for everything that tests draw at random.  STEK_SEED repeats a run."""
import os
import random

SEED = int(os.environ.get("STEK_SEED") or random.SystemRandom().randrange(1, 1 << 32))


def seeded_rng(*parts):
    """A generator of its own for these parts of a test.  Pytest shows the seed where a test fails."""
    print(f"STEK_SEED={SEED}")
    return random.Random(" ".join(map(str, (SEED, *parts))))
