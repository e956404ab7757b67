"""
Texts as sparse rows
====================

Which library does a documentation text come from: NumPy, SciPy, scikit-learn or matplotlib? Every
docstring is a row of some ten thousand columns, of which a few dozen are not zero. The matrix
stays in CSR form, and a step touches the weights of the words that occur in it.
"""

import importlib
import inspect

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from fastnn import Network, Trainer

libraries = {
    "numpy": ["", ".linalg", ".fft", ".random", ".ma"],
    "scipy": [".linalg", ".stats", ".signal", ".special", ".sparse", ".optimize", ".ndimage"],
    "sklearn": [
        ".metrics",
        ".linear_model",
        ".ensemble",
        ".preprocessing",
        ".cluster",
        ".datasets",
    ],
    "matplotlib": [".axes", ".figure", ".patches", ".colors", ".ticker", ".lines", ".collections"],
}
texts = {}
for label, (library, parts) in enumerate(libraries.items()):
    for part in parts:
        module = importlib.import_module(library + part)
        things = [thing for name, thing in vars(module).items() if not name.startswith("_")]
        things += [
            member for thing in things if inspect.isclass(thing) for member in vars(thing).values()
        ]
        for thing in things:
            doc = inspect.getdoc(thing) if callable(thing) else None
            if doc and len(doc) > 100 and not inspect.ismodule(thing):
                texts[doc.lower().replace(library, "")] = label

documents, y = list(texts), np.array(list(texts.values()))
vectorizer = TfidfVectorizer(min_df=2, dtype=np.float32, sublinear_tf=True)
X = vectorizer.fit_transform(documents)
share = X.nnz / (X.shape[0] * X.shape[1])
print(f"{X.shape[0]} texts, {X.shape[1]} words, {share:.2%} of the matrix is not zero")

X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
net = Network((X.shape[1], 32, len(libraries)), random_state=0)
trainer = Trainer(
    net, max_iter=30, batch_size=50, class_weight="balanced", dropout=0.3, random_state=0
)
trainer.fit(X, y)

figure, axes = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
display = ConfusionMatrixDisplay.from_predictions(
    y_test,
    net.predict(X_test),
    display_labels=list(libraries),
    normalize="true",
    cmap="Blues",
    colorbar=False,
    ax=axes,
)
title = axes.set_title(f"test accuracy {(net.predict(X_test) == y_test).mean():.3f}")
