"""Numbers as people read them."""


def number(value: float) -> str:
    """Show three digits that matter: 0.0123, 1.23, 12.3, 123, 1,234.

    >>> [number(x) for x in (0.01234, 1.234, 12.34, 123.4, 1234.5, 2.0)]
    ['0.0123', '1.23', '12.3', '123', '1,234', '2']
    """
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.4f}" if "e" in text else text
