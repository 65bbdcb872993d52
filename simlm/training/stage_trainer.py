"""transformers' Trainer as stages use it: batches by epoch, losses in parts, complete checkpoints."""

import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
from accelerate.data_loader import prepare_data_loader
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer

from simlm.distributed import processes, summed
from simlm.errors import UserError
from simlm.training.batches import EpochBatches, MicroBatches, Packs, UpdateCollator, losses_of
from simlm.training.checkpoints import WEIGHTS, checkpoint_of, newest, seal
from simlm.training.plan import Plan, schedule


class StageTrainer(Trainer):
    """Trainer of a module that returns {"loss": ..., further scalars to log}.

    An update is one training step in every process, over its parts of a batch; gradients are then summed over
    processes.

    Args:
        plan: how long and how fast.
        module: what is trained.
        batches: which examples each update reads.
        collate: how examples become parts.
        evaluation: measures the module on valid; None for no evaluations.
        description: the training's name for readers.
    """

    def __init__(
        self,
        plan: Plan,
        module: nn.Module,
        batches: EpochBatches,
        collate: MicroBatches | Packs,
        evaluation: Callable[[nn.Module], dict[str, float]] | None,
        description: str,
        **rest: Any,
    ) -> None:
        self.plan = plan
        self.description = description
        self.module = module
        self.batches = batches
        self.evaluation = evaluation
        self.collate = collate
        self.scalars: dict[str, list[Tensor]] = {}
        self.unchecked: list[tuple[int, Tensor]] = []
        self.tokens = 0
        collator = UpdateCollator(collate, batches.split, batches.last)
        super().__init__(model=module, train_dataset=batches.dataset, data_collator=collator, **rest)

    def get_train_dataloader(self) -> DataLoader[Any]:
        workers = self.args.dataloader_num_workers
        if workers:
            # They are new in every epoch; what they import is imported once, in the server that they are forked from.
            own = (self.batches.dataset, self.data_collator, self.collate.collate)
            modules = {type(one).__module__ for one in own}
            multiprocessing.set_forkserver_preload(["torch", *sorted(modules)])
        loader: DataLoader[Any] = DataLoader(
            self.batches.dataset,
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
            pin_memory=self.args.dataloader_pin_memory,
        )
        # The sampler gives this process its own part of every batch: accelerate must not deal the batches too.
        return prepare_data_loader(
            loader, self.accelerator.device, 1, 0, put_on_device=True, non_blocking=self.accelerator.non_blocking
        )

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        # Autocast only: gradients are summed by ``training_step``, which DistributedDataParallel would do as well.
        self.accelerator.prepare_model = partial(self.accelerator.prepare_model, evaluation_mode=True)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LambdaLR:
        if self.lr_scheduler is None:
            shape = schedule(self.plan.schedule, self.plan.warmup_steps, self.plan.steps)
            chosen = optimizer if optimizer is not None else self.optimizer
            assert chosen is not None, "the Trainer makes its optimizer before its scheduler"
            self.lr_scheduler = LambdaLR(chosen, shape)
        return self.lr_scheduler

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        model.train()
        total = torch.zeros((), device=self.args.device)
        shares: dict[str, Tensor] = {}
        inputs = self._prepare_inputs(inputs)
        for part, weight in zip(inputs["parts"], inputs["weights"], strict=True):
            outputs = losses_of(model, part)
            loss = outputs["loss"] * weight
            self.accelerator.backward(loss)
            total = total + loss.detach()
            for name, value in outputs.items():
                if name != "loss" and isinstance(value, Tensor) and value.dim() == 0:
                    shares[name] = shares.get(name, 0) + value.detach() * weight
        self.tokens += inputs["tokens"]
        for name, value in shares.items():
            self.scalars.setdefault(name, []).append(value)
        self._sum_gradients()
        summed(total)
        self.unchecked.append((self.state.global_step + 1, torch.isfinite(total)))
        # Reading a value back makes a GPU wait, so there it is done every few updates only.
        if total.device.type == "cpu" or len(self.unchecked) >= self.plan.log_every:
            self.check_losses()
        return total

    def _sum_gradients(self) -> None:
        if processes() == 1:
            return
        waiting = []
        for weight in self.module.parameters():
            if weight.requires_grad:
                # All have to sum the same tensors; what no loss depends on has none.
                weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
                waiting.append(dist.all_reduce(weight.grad, async_op=True))
        for one in waiting:
            one.wait()

    def check_losses(self) -> None:
        """Raise UserError when a loss since the last check was not finite."""
        for (step, _), finite in zip(self.unchecked, _values(self.unchecked), strict=True):
            if not finite:
                raise self._diverged("the loss became infinite or not a number", step)
        self.unchecked.clear()

    def check_weights(self) -> None:
        """Raise UserError when a weight is not finite: a loss can be finite and its gradient not."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.module.parameters()):
            raise self._diverged("weights became infinite or not a number", self.state.global_step)

    def _diverged(self, what: str, step: int) -> UserError:
        good = newest(Path(str(self.args.output_dir)))
        return UserError(
            f"{self.description}: {what} at step {step} of {self.plan.steps}; last good checkpoint: {good or 'none'}; "
            f"lower its learning rate, {self.plan.learning_rate:g}, in simlm/scales and run again"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        for name, values in self.scalars.items():
            logs[name] = round(float(summed(torch.stack(values).float().mean())), 6)
        self.scalars.clear()
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        if self.evaluation is None:
            return {}
        was_training = self.module.training
        self.module.eval()
        with torch.no_grad():
            metrics = {f"eval_{name}": value for name, value in self.evaluation(self.module).items()}
        self.module.train(was_training)
        self.log(dict(metrics))
        # Tells the loop that it is done: it would evaluate once more where an epoch ends.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.check_losses()
        self.check_weights()
        super()._save_checkpoint(model, trial)
        # Every process writes its own random state; the list of files must hold the last of them.
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal(checkpoint_of(Path(str(self.args.output_dir)), self.state.global_step))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self.module, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        safetensors.torch.load_model(self.module, Path(resume_from_checkpoint) / WEIGHTS)


def _values(flags: Sequence[tuple[int, Tensor]]) -> list[bool]:
    """Return the flags of (step, flag) as truth values, fetched from the device together."""
    return torch.stack([flag for _, flag in flags]).tolist() if flags else []
