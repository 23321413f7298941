"""A model as a plain scikit-learn Pipeline, for use without Ratchet."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from ratchet.features.featurize import vectorizer
from ratchet.features.ngram_counts import DIMENSIONS
from ratchet.model.artifact import Model


def pipeline(model: Model) -> Pipeline:
    """A fitted Pipeline over documents (`title text`) with the labels and probabilities of the model.

    A pruned column has idf 0, which takes it out of score and norm, so scikit-learn's own steps suffice. Platt's
    sigmoid is folded into the coefficients: slope * (w x + b) + offset is linear again. `predict_proba` agrees with
    `Model.read` to 1e-5, because scikit-learn keeps features in 32 bits.
    """
    weighting = TfidfTransformer(sublinear_tf=True)
    weighting.fit(sp.csr_matrix((1, DIMENSIONS), dtype=np.float32))
    weighting.idf_ = model.table[:, 0].copy()
    card = model.card
    classifier = LogisticRegression()
    classifier.classes_ = np.array([0, 1])
    classifier.coef_ = card.slope * model.table[:, 1].reshape(1, -1)
    classifier.intercept_ = np.array([card.slope * card.intercept + card.offset])
    classifier.n_features_in_ = DIMENSIONS
    return Pipeline([("counts", vectorizer()), ("tfidf", weighting), ("model", classifier)])
