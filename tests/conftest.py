"""How many examples the property tests try: `ci` the same ones every time, `nightly` (`make fuzz`) many more."""

import os

from hypothesis import HealthCheck, settings

# Machines differ: nothing here depends on how fast one is.
EVERYWHERE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("dev", **EVERYWHERE)
settings.register_profile("ci", derandomize=True, print_blob=True, **EVERYWHERE)
settings.register_profile("nightly", max_examples=2_000, print_blob=True, **EVERYWHERE)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
