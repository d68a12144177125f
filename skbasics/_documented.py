"""Where an estimator is documented, for its picture in a notebook."""

SITE = "https://skbasics.readthedocs.io/en/stable"


class Documented:
    """An estimator whose HTML representation leads to its page of the API."""

    _doc_link_module = "skbasics"
    _doc_link_template = SITE + "/generated/skbasics.{estimator_name}.html"
