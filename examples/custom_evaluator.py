"""The evaluation of custom-evaluator.toml: random features and a softmax on top, trained with numpy alone.

Random features as in Rahimi and Recht 2007; only the softmax is trained, by plain stochastic gradient descent.
"""

import numpy as np


def run(architecture, context):
    """What [evaluation] run names: an architecture as a plain dict in, values by name out."""
    rng = np.random.default_rng(context.seed)
    data = context.data
    n_classes, n_features = data.n_outputs, architecture["features"]
    lift = random_features(architecture, n_inputs=data.train_x[0].size, rng=rng)
    train_x, validation_x = (lift(x.reshape(len(x), -1)) for x in (data.train_x, data.validation_x))

    state = context.restored or {"step": 0, "weights": np.zeros((n_features, n_classes))}
    weights = state["weights"]
    for step in range(state["step"], context.steps):
        batch = np.random.default_rng([context.seed, step]).integers(len(train_x), size=64)
        weights -= architecture["lr"] * gradient(weights, train_x[batch], data.train_y[batch], architecture["decay"])
        if step % 50 == 49:
            errors = class_errors(weights, validation_x, data.validation_y, n_classes)
            if context.report(step + 1, {"val_error": errors.mean(), "worst_class_error": errors.max()}):
                break
            context.checkpoint({"step": step + 1, "weights": weights})

    errors = class_errors(weights, validation_x, data.validation_y, n_classes)
    print("errors by class:", errors.round(3))
    wrong = np.mean(predicted(weights, validation_x) != data.validation_y)
    return {"val_error": wrong, "worst_class_error": errors.max(), "params": weights.size}


def costs(architecture):
    """What [evaluation] costs names: values that are known without an evaluation."""
    n_classes = 10  # of the digits
    return {"params": architecture["features"] * n_classes}


def random_features(architecture, *, n_inputs, rng):
    """(n, n_inputs) -> (n, features), never trained."""
    n_features = architecture["features"]
    scale = architecture["scale"] or 1.0  # null where `kind` has none
    directions = rng.normal(size=(n_inputs, n_features)) * scale / np.sqrt(n_inputs)
    shifts = rng.uniform(0, 2 * np.pi, n_features)
    if architecture["kind"] == "fourier":
        return lambda x: np.cos(x * 8 @ directions + shifts) / np.sqrt(n_features)
    return lambda x: np.maximum(x @ directions * 8, 0) / np.sqrt(n_features)


def gradient(weights, x, y, decay):
    """Of the cross-entropy, with weight decay."""
    logits = x @ weights
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(y)), y] -= 1
    return x.T @ shares / len(y) + decay * weights


def predicted(weights, x):
    """Class numbers."""
    return (x @ weights).argmax(axis=1)


def class_errors(weights, x, y, n_classes):
    """The share of wrong answers within each class."""
    wrong = predicted(weights, x) != y
    return np.array([wrong[y == each].mean() for each in range(n_classes)])
