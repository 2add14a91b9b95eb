"""
Catalogs of several domains to try things on, made from real data that installed packages ship: no network needed.

    digits          files.py    images with a label           one table of images
    licences        files.py    texts of two kinds            a table of packages, texts that belong to them
    breast-cancer   tables.py   measurements of patients      three tables, a vocabulary, a feature
    wine            tables.py   chemical analyses             samples and their measurements, one row each
    weather         series.py   a time series                 days by month; training before testing

Each has a dataset of all, released as 1.0.0, and datasets for training and testing that are nested in a split of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deriva_ml_core.errors import DerivaMLConfigurationError, nearest

if TYPE_CHECKING:
    from deriva_ml_core.connection.handle import DerivaML
    from deriva_ml_core.projects.domains.made import Made


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain: what it is about, and what puts it into an empty catalog."""

    name: str
    about: str
    fill: Callable[[DerivaML], Made]


def _digits(ml: DerivaML) -> Made:
    from deriva_ml_core.projects.domains.files import digits

    return digits(ml)


def _licences(ml: DerivaML) -> Made:
    from deriva_ml_core.projects.domains.files import licences

    return licences(ml)


def _breast_cancer(ml: DerivaML) -> Made:
    from deriva_ml_core.projects.domains.tables import breast_cancer

    return breast_cancer(ml)


def _wine(ml: DerivaML) -> Made:
    from deriva_ml_core.projects.domains.tables import wine

    return wine(ml)


def _weather(ml: DerivaML) -> Made:
    from deriva_ml_core.projects.domains.series import weather

    return weather(ml)


DOMAINS = {
    domain.name: domain
    for domain in (
        Domain("digits", "1,797 images of handwritten digits, labelled (scikit-learn)", _digits),
        Domain("licences", "the licence texts of the installed packages, by kind of licence", _licences),
        Domain("breast-cancer", "569 patients, their samples and diagnoses (scikit-learn)", _breast_cancer),
        Domain("wine", "178 wines of three cultivars, 13 measurements each (scikit-learn)", _wine),
        Domain("weather", "1,461 days of weather in Seattle, a time series (vega_datasets)", _weather),
    )
}


def find_domain(name: str) -> Domain:
    """
    The domain of this name.

    Raises:
        DerivaMLConfigurationError: there is none.
    """
    if name not in DOMAINS:
        raise DerivaMLConfigurationError(f"no domain {name!r}{nearest(name, DOMAINS)}; there are {', '.join(DOMAINS)}")
    return DOMAINS[name]
