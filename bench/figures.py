# SPDX-License-Identifier: BSD-2-Clause
"""Medians, their intervals, and what they say of a goal: for bench/veth, bench/vm and bench/report."""
import statistics

BASELINE, CONTROL = "plain", "plain-again"
PEERS = (BASELINE, CONTROL, "packet", "testpmd")  # all others are examples
UNDECIDED = 0.05  # an A/A half-spread above this decides nothing
RUNS_MIN = 6      # fewer have no 95 % interval


def interval(values):
    """The 95 % interval of the median, by order statistics; the whole range where there are too few values."""
    ordered, k = sorted(values), 0
    term = below = 0.5 ** len(ordered)  # P(k values below the median), and up to k
    while below <= 0.025:
        k += 1
        term *= (len(ordered) - k + 1) / k
        below += term
    k = max(k, 1)
    return ordered[k - 1], ordered[-k]


def spread(values):
    low, high = interval(values)
    return {"median": statistics.median(values), "low": low, "high": high}


def spreads(runs):
    return {field: spread([r[field] for r in runs]) for field in runs[0]}


def compare(runs, about):
    """One object for each (mode, name) in runs: spreads of its runs' figures, and of the ratios of its rates to
    the baseline's of the same alternation; about(mode, name) is what the object begins with."""
    return [{**about(mode, name), **spreads(of),
             **{f"{field}_ratio": spread([r[field] / base[field]
                                          for r, base in zip(of, runs[mode, BASELINE])])
                for field in ("pps", "pps_cpu")}} for (mode, name), of in runs.items()]


def verdict(ratio, control, runs):
    """Is a ratio 1, as far as the control, the baseline measured again, can tell?"""
    half = (control["high"] - control["low"]) / 2
    word = "undecided, too few runs" if runs < RUNS_MIN else \
        "missed" if ratio["high"] < 1 - half else \
        "undecided, the machine is too busy" if half > UNDECIDED else \
        "met" if ratio["low"] >= 1 - half else "undecided"
    return f"{ratio['median']:.3f} of {BASELINE} ({ratio['low']:.3f} to {ratio['high']:.3f}), " \
        f"A/A {control['median']:.3f} +- {half:.3f}: {word}"


def verdicts(found, where):
    """A sentence for each example and rate in compare()'s array."""
    by_name = {(r["mode"], r["variant"]): r for r in found}
    return [f"{where}, {mode}, {name}, {what}: " +
            verdict(r[field], by_name[mode, CONTROL][field], r["alternations"])
            for (mode, name), r in by_name.items() if name not in PEERS
            for field, what in (("pps_ratio", "packets per second"),
                                ("pps_cpu_ratio", "packets per CPU second"))]


def text(value, width, digits):
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def print_rates(found):
    """compare()'s array."""
    columns = (("busy", 5, 2), ("calls", 7, 4), ("batch", 5, 1), ("sleeps", 6, 0))
    print(f"{'':<31} {'kpps':>7} {'low':>7} {'high':>7} {'ns/cpu':>8}", *(f"{c:>{w}}" for c, w, _ in columns),
          f" {'ratio':>6} {'low':>6} {'high':>6}  {'r/cpu':>6} {'low':>6} {'high':>6}")
    for r in found:
        values = [r.get(column) for column, _, _ in columns]
        print(f"{r['mode']:<9}{r['variant']:<22}",
              *(f"{r['pps'][q] / 1e3:7.1f}" for q in ("median", "low", "high")),
              f"{1e9 / r['pps_cpu']['median']:8.1f}",
              *(text(v["median"] if isinstance(v, dict) else v, w, d)
                for v, (_, w, d) in zip(values, columns)),
              *(f"{' ' if q == 'median' else ''}{r[field][q]:6.3f}"
                for field in ("pps_ratio", "pps_cpu_ratio") for q in ("median", "low", "high")))
