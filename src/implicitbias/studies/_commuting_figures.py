"""Figures of the study of commuting parametrizations, from the stored datasets."""

from typing import Any

import numpy as np

from implicitbias.plotting import curves_figure


def scales_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the excess of the l1 norm and of the l2 norm of the ends against the scale of the start."""
    series = {
        "theory": (10.0 ** data["drawn_exponent"].values, data["drawn"].values),
        "training of u * v": (10.0 ** data["exponent"].values, data["trained"].values[:, 0]),
    }
    panels = {}
    for label, best, order in (("l_1", "least_l1", 1), ("l_2", "least_l2", 2)):
        least = np.linalg.norm(data[best].values, order)
        panels[f"excess of the ${label}$ norm"] = {
            name: (x, np.linalg.norm(w, order, axis=1) / least - 1.0) for name, (x, w) in series.items()
        }
    return {
        f"{point}-norms": curves_figure(panels, "scale $a$ of the entropy", dashed=("training of u * v",))
    }


def products_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the entries of U U^T along the flows of two losses that end at one W."""
    times, curves = data["curve_time"].values[1:], data["curve_w"].values[:, 1:]
    losses = ("equal weights", "other weights")
    panels = {
        f"entry {name} of W": {loss: (times, curves[m, :, k]) for m, loss in enumerate(losses)}
        for k, name in enumerate(("(0, 0)", "(0, 1)", "(1, 1)"))
    }
    return {f"{point}-paths": curves_figure(panels, "time $t$")}


def maps_figures(point: str, data: Any) -> dict[str, Any]:
    """Return both flows of the mixture, and the divergences of the ends from the flows."""
    times = data["sample"].values[1:]
    last = len(data["map"]) - 1
    theta, mirror = data["theta_w"].values[last, 1:], data["mirror_w"].values[last, 1:]
    names = [f"mirror flow, entry {k}" for k in range(3)]
    flows = {f"gradient flow, entry {k}": (times, theta[:, k]) for k in range(3)}
    flows |= {name: (times, mirror[:, k]) for k, name in enumerate(names)}
    divergences = {
        str(name): (times, data["divergence"].values[k, 1:]) for k, name in enumerate(data["closed"].values)
    }
    return {
        f"{point}-mixture": curves_figure({"w of the mixture": flows}, "time $t$", dashed=tuple(names)),
        f"{point}-divergences": curves_figure({"divergence of the end": divergences}, "time $t$"),
    }


def diabetes_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the sizes of the entries at the ends of training from several scales, sorted."""
    rank = np.arange(1.0, data.sizes["feature"] + 1.0)
    sizes = {
        f"scale {scale:g}": (rank, np.sort(np.abs(w))[::-1])
        for scale, w in zip(data["scale"].values, data["trained"].values, strict=True)
    }
    return {
        f"{point}-sizes": curves_figure({"size of the entry": sizes}, "rank of the entry", logarithmic=False)
    }


def digits_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the table, and what training finds from its sums and two starts, for the digit 1 and for the digit 8."""
    rows = np.arange(1.0, data.sizes["image_row"] + 1.0)
    tables = data["trained"].values.reshape(2, *data["table"].shape)
    named = {
        "table": data["table"].values,
        "from a constant table": tables[0],
        "from the first half": tables[1],
    }
    panels = {
        f"counts of the digit {digit}": {name: (rows, table[digit]) for name, table in named.items()}
        for digit in (1, 8)
    }
    return {
        f"{point}-tables": curves_figure(panels, "row of the image", logarithmic=False, dashed=("table",))
    }


FIGURES = {
    "scales": scales_figures,
    "products": products_figures,
    "maps": maps_figures,
    "diabetes": diabetes_figures,
    "digits": digits_figures,
}
