"""The expression on micrograd's front page: two leaves, a dozen operations, one gradient each."""

from fastgrad.engine import Value


def main():
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    print(f"g     = {g.data:.4f}")
    print(f"dg/da = {a.grad:.4f}")
    print(f"dg/db = {b.grad:.4f}")
    return g.data, a.grad, b.grad


if __name__ == "__main__":
    main()
