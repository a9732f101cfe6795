"""Numbers and names as short text."""


def short(value: float) -> str:
    """Return a number with at most four significant digits and without trailing zeros."""
    if value == 0.0:
        return "0"
    if 1e4 <= abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    text = f"{value:.4g}"
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-").replace("-", "−")


def middle(name: str, most: int) -> str:
    """Return a name with at most `most` letters, without the middle part of a longer one.

    The middle is left out, because similar names usually differ at their ends.
    """
    if len(name) <= most:
        return name
    head = most // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"
