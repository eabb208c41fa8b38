"""How long ago."""


def age(seconds: float) -> str:
    """So many days, hours, minutes or seconds: the largest two that matter. Nothing is from the future."""
    seconds = max(0.0, seconds)
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {int(seconds % 60)}s" if minutes else f"{int(seconds)}s"
