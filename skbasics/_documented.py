"""What every estimator has beside its mathematics: a page of documentation, a version."""

from typing import Any, Self

from sklearn.base import BaseEstimator

from skbasics._atomic import restore
from skbasics._versioned import Versioned

SITE = "https://skbasics.readthedocs.io/en/stable"


class Documented(Versioned):
    """An estimator whose HTML representation leads to its page of the API."""

    _doc_link_module = "skbasics"
    _doc_link_template = SITE + "/generated/skbasics.{estimator_name}.html"

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of estimators inside too; if one cannot be set, none is.

        Parameters
        ----------
        **params : dict
            Parameters by name; ``a__b`` sets the parameter b of a.

        Returns
        -------
        self : object
            The estimator.
        """
        inside = [v for v in self.get_params().values() if isinstance(v, BaseEstimator)]
        before = [(each, vars(each).copy()) for each in (self, *inside)]
        try:
            return super().set_params(**params)
        except BaseException:
            for each, attributes in before:
                restore(each, attributes)
            raise
