"""A training script for torchrun: each rank draws its own data, and all hold the same net."""

import time
from pathlib import Path

import torch
from torch import distributed, nn

import hpo

distributed.init_process_group("gloo")
rank = distributed.get_rank()
trial = hpo.trial(length=4, lr=0.1, folder=".")
folder = Path(trial["folder"])
torch.manual_seed(trial.seed)
net = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=trial["lr"], momentum=0.9)
torch.manual_seed(trial.seed * 1000 + rank)
with (folder / f"started-{rank}").open("a") as started:
    started.write("again\n")

for unit in trial.loop(keep=[net, optimizer]):
    while unit == 3 and not (folder / "go").exists():
        time.sleep(0.02)
    for step in range(3):
        trial.drive(optimizer, at=unit + step / 3)
        inputs = torch.randn(8, 4)
        loss = (net(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mean = loss.detach().clone()
    distributed.all_reduce(mean)
    trial.report(train=mean.item() / 2, validation=mean.item() / 2)
trial.finish()
distributed.destroy_process_group()
