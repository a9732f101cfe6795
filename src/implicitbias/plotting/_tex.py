"""Formulas of labels as plain text, for pages that carry no program to typeset them."""

import re

_SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "lambda": "λ", "tau": "τ", "theta": "θ", "phi": "φ", "eta": "η",
    "nu": "ν", "mu": "μ", "sigma": "σ", "nabla": "∇", "infty": "∞", "langle": "⟨", "rangle": "⟩", "cdot": "·",
    "times": "×", "leq": "≤", "geq": "≥", "le": "≤", "ge": "≥", "to": "→", "sum": "Σ", "|": "‖", "ln": "ln ",
    "log": "log ", "min": "min", "max": "max", "top": "ᵀ", "ell": "ℓ", "dot": "", "bar": "", "mathrm": "",
    "quad": " ", "sqrt": "√", "frac": "", "$": "$", ",": " ", "epsilon": "ε", "varepsilon": "ε", "delta": "δ",
}  # fmt: skip
_RAISED = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
_LOWERED = str.maketrans("0123456789+-aeijnprstx", "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑᵢⱼₙₚᵣₛₜₓ")


def without_tex(text: str) -> str:
    r"""Return a label with its formulas as Unicode text: "$\\ln t$" becomes "ln t", "$w_{12}$" becomes "w₁₂".

    A dollar sign that belongs to a name is written as "\\$", as matplotlib requires.
    """
    parts = re.split(r"(?<!\\)\$", text)
    formulas = [_formula(part) if i % 2 else part.replace(r"\$", "$") for i, part in enumerate(parts)]
    return re.sub(r"[ \t]+", " ", "".join(formulas)).strip()


def _formula(text: str) -> str:
    text = re.sub(r"\\([A-Za-z]+|[|$,])", lambda found: _SYMBOLS.get(found[1], found[1]), text)
    text = re.sub(r"\^(\{[^{}]*\}|.)", lambda found: _moved(found[1], _RAISED, "^"), text)
    text = re.sub(r"_(\{[^{}]*\}|.)", lambda found: _moved(found[1], _LOWERED, "_"), text)
    return text.replace("{", "").replace("}", "").replace("-", "−")


def _moved(text: str, letters: dict[int, int], sign: str) -> str:
    """Return raised or lowered letters where Unicode has all of them, else the text after its sign."""
    inner = text.strip("{}")
    if all(ord(letter) in letters for letter in inner):
        return inner.translate(letters)
    return f"{sign}{inner}" if len(inner) == 1 else f"{sign}({inner})"
