"""A small net in torch that reads scikit-learn's handwritten digits."""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import hpo

trial = hpo.trial(length=20, lr=0.1, weight_decay=1e-3, width=32)
torch.manual_seed(trial.seed)
torch.set_num_threads(1)  # the last digits of a result depend on the number of threads

digits = load_digits()
images = torch.tensor(digits.data / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
# The same split for every seed: trials are compared on the same images.
train, validation, test = slice(0, 1000), slice(1000, 1400), slice(1400, None)

net = torch.nn.Sequential(torch.nn.Linear(64, trial["width"]), torch.nn.ReLU(), torch.nn.Linear(trial["width"], 10))
optimizer = torch.optim.SGD(net.parameters(), lr=trial["lr"], momentum=0.9, weight_decay=trial["weight_decay"])


def score(part: slice) -> dict[str, float]:
    with torch.no_grad():
        outputs = net(images[part])
    right = outputs.argmax(dim=1) == labels[part]
    return {"accuracy": right.float().mean().item(), "loss": cross_entropy(outputs, labels[part]).item()}


for epoch in trial.loop(keep=[net, optimizer]):
    batches = torch.randperm(1000).split(50)
    for i, batch in enumerate(batches):
        trial.drive(optimizer, at=epoch + i / len(batches))
        optimizer.zero_grad()
        cross_entropy(net(images[batch]), labels[batch]).backward()
        optimizer.step()
    trial.report(train=score(train), validation=score(validation))

trial.finish(test=lambda: score(test))
