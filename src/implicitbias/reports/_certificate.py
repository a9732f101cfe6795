"""The sections about data, settings and the command that the reports of tables have in common."""

from collections.abc import Mapping

from implicitbias._core.certificate import Certificate
from implicitbias.reports._bibliography import entries
from implicitbias.reports._document import Code, Facts, Part, Section, Text


def settings_section(facts: Mapping[str, str], certificate: Certificate, theory: str) -> Section:
    """Return the section of data, settings and versions, the numbers of the certificate, and the paper to cite.

    Args:
        facts: {name: value}; `command` and `in Python` are lines that give the same result.
        certificate: the certificate of the result.
        theory: the key of the paper in the bibliography.
    """
    numbers = {} if certificate.gap is None else {"gap": certificate.gap}
    numbers |= certificate.residuals
    told = (
        f"{'holds' if certificate.holds else 'DOES NOT HOLD'}, tolerance {certificate.tolerance:.0e}: "
        + ", ".join(f"{name} {value:.1e}" for name, value in numbers.items())
    )
    parts: list[Part] = [Facts({**facts, "certificate": told})]
    return Section("Data and settings", (*parts, *citation(theory)))


def citation(*keys: str) -> tuple[Part, ...]:
    """Return the papers to cite in BibTeX; () if the bibliography has none of the keys."""
    found = entries(keys)
    return (Text("The theory is from:", hint=True), Code("\n\n".join(found), "bibtex")) if found else ()
