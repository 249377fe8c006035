"""A tiny model of Hugging Face on made-up texts: shuffling and dropout show whether a resume is exact."""

import time
from pathlib import Path

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import hpo
from hpo.transformers import Follow


class Waiting(TrainerCallback):
    """Waits in the middle of a unit until it may go on."""

    def on_step_end(self, args, state, control, **more):
        while state.global_step == 14 and not (Path(trial["folder"]) / "go").exists():
            time.sleep(0.02)


trial = hpo.trial(length=6, lr=0.01, weight_decay=0.01, epochs=6, folder=".")
set_seed(trial.seed)
texts = torch.randint(0, 16, (32, 12), generator=torch.Generator().manual_seed(0))
data = [{"input_ids": text, "labels": text} for text in texts]
model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=12, n_embd=16, n_layer=1, n_head=2))
follow = Follow(trial)
arguments = TrainingArguments(
    output_dir=str(trial.dir / "run"), num_train_epochs=trial["epochs"], per_device_train_batch_size=8,
    learning_rate=trial["lr"], weight_decay=trial["weight_decay"], seed=trial.seed, report_to="none", disable_tqdm=True,
    use_cpu=True,
)  # fmt: skip
trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data[:8], callbacks=[follow, Waiting()])
trainer.train(resume_from_checkpoint=follow.checkpoint)
trial.finish(test=lambda: trainer.evaluate(data[8:16], metric_key_prefix="test")["test_loss"])
