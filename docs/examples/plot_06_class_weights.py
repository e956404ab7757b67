"""
Class weights on unbalanced data
================================

One row in twenty is of the second class. Trained on all rows alike, a network does best by
calling most things the first. ``class_weight="balanced"`` gives both classes the same weight in
the loss: more of the rare rows are found, at the price of false alarms.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import ConfusionMatrixDisplay, balanced_accuracy_score
from sklearn.model_selection import train_test_split

from fastnn import Network, Trainer

X, y = make_classification(
    6000, 20, n_informative=4, weights=[0.95], class_sep=0.8, flip_y=0.02, random_state=0
)
X, X_test, y, y_test = train_test_split(X.astype(np.float32), y, stratify=y, random_state=0)

figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for axis, class_weight in zip(axes, (None, "balanced")):
    net = Network((20, 32, 2), random_state=0)
    trainer = Trainer(
        net, max_iter=100, class_weight=class_weight, early_stopping=True, random_state=0
    )
    trainer.fit(X, y)
    predicted = net.predict(X_test)
    ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, ax=axis, colorbar=False, cmap="Blues", normalize="true"
    )
    accuracy = balanced_accuracy_score(y_test, predicted)
    axis.set_title(f"class_weight={class_weight!r}\nbalanced accuracy {accuracy:.2f}")
