"""What an autoencoder minimises."""

from torch import Tensor

from skbasics._averages import Averages
from skbasics.network._layer import TrainingPass
from skbasics.network._losses import Loss
from skbasics.network._network import BatchOfRows, Network, NetworkObjective


class ReconstructionObjective(NetworkObjective):
    """The loss of rows as their own targets.

    What stands in a batch as its targets are keys of the rows, for layers that want them. The mean
    of the rows' losses, and what priced layers measure, are recorded epoch by epoch.
    """

    def __init__(self, network: Network, loss: Loss, alpha: float | Tensor) -> None:
        super().__init__(network, loss, alpha)
        self._averages: dict[str, Averages] = {}

    def recorded(self) -> dict[str, list[float]]:
        """Return the mean reconstruction loss and what priced layers measured, and forget them."""
        averages, self._averages = self._averages, {}
        return {name: average.values() for name, average in averages.items()}

    def _training_pass(self, batch: BatchOfRows) -> TrainingPass:
        training = super()._training_pass(batch)
        training.keys = batch.y
        return training

    def _target(self, batch: BatchOfRows) -> Tensor:
        return batch.X

    def _record(self, losses: Tensor, batch: BatchOfRows) -> None:
        self._average("reconstruction_loss", losses, batch)
        for layer in self.network.priced_layers:
            self._average(layer.measured, layer.measures, batch)

    def _average(self, name: str, values: Tensor, batch: BatchOfRows) -> None:
        if name not in self._averages:
            self._averages[name] = Averages(len(values), values.device)
        self._averages[name].add(values, batch.totals, batch.active)
