"""Numbers, names and formulas as short text."""

import pytest

from implicitbias.plotting._tex import without_tex
from implicitbias.plotting._text import middle, short


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.0, "0"),
            (-1.5, "−1.5"),
            (123456.0, "123456"),
            (-12345.6, "−12346"),
            (1e-7, "1e−7"),
            (2.5e12, "2.5e12"),
            (1e-12, "1e−12"),
        ],
    )
    def test_numbers(self, value: float, text: str) -> None:
        assert short(value) == text

    def test_names(self) -> None:
        assert middle("short", 5) == "short"
        assert middle("a very long name", 9) == "a ve…name"
        assert len(middle("a very long name", 8)) == 8


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"slow time  $\lambda t$", "slow time λ t"),
        (r"$1 / \ln(1/\alpha)$", "1 / ln (1/α)"),
        (r"$\min_i y_i \langle x_i, w_t \rangle$", "minᵢ yᵢ ⟨ xᵢ, wₜ ⟩"),
        (r"$w_{12}$ and $10^{-3}$", "w₁₂ and 10⁻³"),
        (r"costs 3 \$ or 4 \$", "costs 3 $ or 4 $"),
        (r"$\|w_t\|$", "‖wₜ‖"),
    ],
)
def test_formulas(tex: str, text: str) -> None:
    assert without_tex(tex) == text
