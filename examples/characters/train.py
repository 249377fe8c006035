"""A language model of characters in torch: a GRU that reads the documentation that comes with Python."""

from pydoc_data.topics import topics

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import hpo

WINDOW = 32  # characters that are read at a time

trial = hpo.trial(length=8, lr=0.01, weight_decay=0.1, width=64)
torch.manual_seed(trial.seed)
torch.set_num_threads(1)  # the last digits of a result depend on the number of threads

text = "\n".join(topics[name] for name in sorted(topics))
characters = sorted(set(text))
number = {character: i for i, character in enumerate(characters)}
data = torch.tensor([number[character] for character in text])
# Three blocks of the text, the same for every seed: no window of one reaches into another.
train, validation, test = data.tensor_split((len(data) * 8 // 10, len(data) * 9 // 10))


class Model(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(characters), width)
        self.gru = torch.nn.GRU(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, len(characters))

    def loss(self, windows: Tensor) -> Tensor:
        """The mean of -log p(next character), in nats."""
        hidden, _ = self.gru(self.embedding(windows[:, :-1]))
        return cross_entropy(self.output(hidden).flatten(0, 1), windows[:, 1:].flatten())


model = Model(trial["width"])
optimizer = torch.optim.AdamW(model.parameters(), lr=trial["lr"], weight_decay=trial["weight_decay"])


def score(block: Tensor) -> float:
    windows = block.unfold(0, WINDOW + 1, WINDOW)[:300]  # one after the other
    with torch.no_grad():
        return model.loss(windows).item()


for epoch in trial.loop(keep=[model, optimizer]):
    for step in range(20):
        trial.drive(optimizer, at=epoch + step / 20)
        starts = torch.randint(len(train) - WINDOW, (64, 1))
        optimizer.zero_grad()
        model.loss(train[starts + torch.arange(WINDOW + 1)]).backward()
        optimizer.step()
    trial.report(train=score(train), validation=score(validation))

trial.finish(test=lambda: score(test))
