"""What all property tests share."""

from hypothesis import HealthCheck

#: The same examples each time, on a machine however slow: nothing is timed here.
FIXED = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
