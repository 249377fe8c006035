"""A Lightning module on made-up data: shuffling and dropout show whether a resume is exact."""

import time
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import hpo
from hpo.lightning import Follow


class Model(LightningModule):
    """A small net with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("used_lr", self.optimizers().param_groups[0]["lr"], on_step=False, on_epoch=True, reduce_fx="min")
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def on_train_epoch_end(self):
        self.log("decay", self.optimizers().param_groups[0]["weight_decay"])
        while self.current_epoch == 3 and not (Path(trial["folder"]) / "go").exists():
            time.sleep(0.02)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=trial["lr"], weight_decay=trial["weight_decay"])
        return [optimizer], [torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1)]


trial = hpo.trial(length=6, lr=0.01, weight_decay=0.01, folder=".")
inputs = torch.randn(96, 8, generator=torch.Generator().manual_seed(0))
data = TensorDataset(inputs, inputs.sum(1, keepdim=True).sin())
seed_everything(trial.seed)
model, follow = Model(), Follow(trial)
trainer = Trainer(
    max_epochs=trial.length, callbacks=[follow], accelerator="cpu", logger=False, enable_progress_bar=False,
    enable_model_summary=False,
)  # fmt: skip
trainer.fit(model, DataLoader(data, 16, shuffle=True), DataLoader(data, 32), ckpt_path=follow.checkpoint)
trial.finish(test=lambda: trainer.test(model, DataLoader(data, 32), verbose=False)[0]["test_loss"])
