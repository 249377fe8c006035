"""Two ranks that torchrun starts: each reads its own half of every batch, and both hold the same net."""

import torch
from sklearn.datasets import load_digits
from torch import distributed
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import hpo

distributed.init_process_group("gloo")  # on GPUs: nccl
rank, ranks = distributed.get_rank(), distributed.get_world_size()
trial = hpo.trial(length=10, lr=0.1, weight_decay=1e-3)
torch.manual_seed(trial.seed)  # all ranks draw the same order, and take different parts of it
torch.set_num_threads(1)

digits = load_digits()
images = torch.tensor(digits.data / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
train, validation, test = slice(0, 1000), slice(1000, 1400), slice(1400, None)

net = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)))
optimizer = torch.optim.SGD(net.parameters(), lr=trial["lr"], momentum=0.9, weight_decay=trial["weight_decay"])


def score(part: slice) -> dict[str, float]:
    """Each rank scores its share of the images; all know the sum."""
    own, truth = images[part][rank::ranks], labels[part][rank::ranks]
    with torch.no_grad():
        outputs = net.module(own)
    right = (outputs.argmax(dim=1) == truth).sum()
    sums = torch.stack([right.float(), cross_entropy(outputs, truth, reduction="sum"), torch.tensor(float(len(own)))])
    distributed.all_reduce(sums)
    return {"accuracy": (sums[0] / sums[2]).item(), "loss": (sums[1] / sums[2]).item()}


for epoch in trial.loop(keep=[net, optimizer]):
    batches = torch.randperm(1000).split(50)
    for i, batch in enumerate(batches):
        trial.drive(optimizer, at=epoch + i / len(batches))
        part = batch[rank::ranks]
        optimizer.zero_grad()
        cross_entropy(net(images[part]), labels[part]).backward()
        optimizer.step()
    trial.report(train=score(train), validation=score(validation))

trial.finish(test=lambda: score(test))
distributed.destroy_process_group()
