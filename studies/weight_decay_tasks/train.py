"""Train one of four tasks by AdamW, as the study of weight decay asks for it: ../should_weight_decay_move.toml.

    python studies/weight_decay_tasks/train.py             # by hand: the digits

What the study moves is the learning rate and the weight decay, at every step.
"""

from __future__ import annotations

import torch
from cautious import cautious_step
from tasks import TASKS, Examples
from torch.nn.functional import cross_entropy

import hpo

trial = hpo.trial(length=20, task="digits", large=False, lr=0.003, weight_decay=0.1, cautious=False)
torch.set_num_threads(1)  # the last digits of a result depend on the number of threads
device = "cuda" if torch.cuda.is_available() else "cpu"

torch.manual_seed(trial.seed)
task = TASKS[trial["task"]](trial["large"])
model = task.model.to(device)
matrices = [weight for weight in model.parameters() if weight.dim() > 1]
vectors = [weight for weight in model.parameters() if weight.dim() <= 1]  # biases and gains, which are not decayed
optimizer = torch.optim.AdamW(
    [{"params": matrices, "weight_decay": trial["weight_decay"]}, {"params": vectors, "weight_decay": 0.0}],
    lr=trial["lr"],
)


def score(examples: Examples) -> dict[str, float]:
    """Cross-entropy in nats per target, and the share of targets that are the likeliest class."""
    losses, right, count = 0.0, 0.0, 0
    model.eval()
    with torch.no_grad():
        for inputs, targets in zip(*(part.split(1000) for part in examples), strict=True):
            logits, classes = model(inputs.to(device)).flatten(0, -2), targets.to(device).flatten()
            losses += cross_entropy(logits, classes, reduction="sum").item()
            right += (logits.argmax(1) == classes).sum().item()
            count += len(classes)
    model.train()
    return {"loss": losses / count, "accuracy": right / count}


inputs, targets = (part.to(device) for part in task.train)
# Feedback compares validation with about as many training examples, always the same.
apart = max(1, len(inputs) // len(task.validation[0]))
sample = inputs[::apart], targets[::apart]

for unit in trial.loop(keep=[model, optimizer]):
    for step in range(task.steps):
        trial.drive(optimizer, at=unit + step / task.steps)
        chosen = torch.randint(len(inputs), (task.batch,)).to(device)
        optimizer.zero_grad()
        cross_entropy(model(inputs[chosen]).flatten(0, -2), targets[chosen].flatten()).backward()
        if trial["cautious"]:
            cautious_step(optimizer)
        else:
            optimizer.step()
    trial.report(train=score(sample), validation=score(task.validation))

trial.finish(test=lambda: score(task.test))
