"""What every estimator has beside its mathematics: a page of documentation, a version."""

from skbasics._versioned import Versioned

SITE = "https://skbasics.readthedocs.io/en/stable"


class Documented(Versioned):
    """An estimator whose HTML representation leads to its page of the API."""

    _doc_link_module = "skbasics"
    _doc_link_template = SITE + "/generated/skbasics.{estimator_name}.html"
