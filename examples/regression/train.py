"""Linear regression by stochastic gradient descent, in numpy: how far diabetes has progressed after a year."""

import numpy as np
from sklearn.datasets import load_diabetes

import hpo

trial = hpo.trial(length=20, lr=0.01, penalty=0.01)

features, target = load_diabetes(return_X_y=True, scaled=False)
# The same split for every seed: trials are compared on the same patients.
train, validation, test = slice(0, 260), slice(260, 350), slice(350, None)
# What is known of validation and test must not reach the training: mean and deviation are of train.
features = (features - features[train].mean(axis=0)) / features[train].std(axis=0)


class Model:
    def __init__(self, seed: int) -> None:
        self.weights = np.random.default_rng(seed).normal(size=features.shape[1])
        self.intercept = target[train].mean()

    def errors(self, rows: slice | np.ndarray) -> np.ndarray:
        return features[rows] @ self.weights + self.intercept - target[rows]

    def step(self, rows: np.ndarray, lr: float) -> None:
        """Down the gradient of half the mean squared error and of the L2 penalty."""
        errors = self.errors(rows)
        self.weights -= lr * (features[rows].T @ errors / len(rows) + trial["penalty"] * self.weights)
        self.intercept -= lr * errors.mean()

    # With these two, trial.loop(keep=…) saves and restores it. Without torch what is saved is written as JSON.

    def state_dict(self) -> dict:
        return {"weights": self.weights.tolist(), "intercept": float(self.intercept)}

    def load_state_dict(self, state: dict) -> None:
        self.weights, self.intercept = np.array(state["weights"]), state["intercept"]


def score(part: slice) -> dict[str, float]:
    errors = model.errors(part)
    return {"mean_absolute_error": np.abs(errors).mean(), "mean_squared_error": (errors**2).mean()}


model = Model(trial.seed)
for epoch in trial.loop(keep=[model]):
    # The order follows from the seed and the epoch alone, so a trial that goes on elsewhere takes the same one.
    order = np.random.default_rng([trial.seed, epoch]).permutation(260)
    for i, rows in enumerate(np.split(order, 26)):
        lr = trial.moved(at=epoch + i / 26)["lr"]  # as it is now, should the study move it
        model.step(rows, lr)
    trial.report(train=score(train), validation=score(validation))

trial.finish(test=lambda: score(test))
