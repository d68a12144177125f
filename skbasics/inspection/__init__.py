"""Looking into networks: is the gradient right, which learning rate, what do the layers do."""

from skbasics.inspection._gradient_check import GradientCheck
from skbasics.inspection._gradients import check_gradients
from skbasics.inspection._layer_health import LayerHealth
from skbasics.inspection._layers import layer_health
from skbasics.inspection._learning_rate_range import LearningRateRange
from skbasics.inspection._learning_rates import learning_rate_range_test

__all__ = [
    "GradientCheck",
    "LayerHealth",
    "LearningRateRange",
    "check_gradients",
    "layer_health",
    "learning_rate_range_test",
]
