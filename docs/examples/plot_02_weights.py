"""
Weights as images
=================

Each unit of the first layer has a weight for each pixel. Drawn as an image, they show what the
unit looks for: here on scikit-learn's digits of 8x8 pixels.
"""

from sklearn.datasets import load_digits

from fastnn import Network, Trainer
from fastnn.plotting import plot_weights

X, y = load_digits(return_X_y=True)
net = Network((64, 40, 10), input_scale=16, random_state=0)
Trainer(net, max_iter=80, batch_size=50, alpha=0.02, random_state=0).fit(X, y)
figure = plot_weights(net, (8, 8))
