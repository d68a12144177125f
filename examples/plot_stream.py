"""
A stream whose mean drifts
==========================

All of the past against a half-life. A sensor reads 1000 with noise of deviation 2, then creeps up,
then jumps. The mean of all time has a small standard error around a number that is no longer true;
a half-life of 50 readings keeps up, and its wider band says how few readings it rests on. (A band
speaks of noise. That the truth has moved on meanwhile, no standard error can know.) Two parts of
the stream, seen on two machines, are joined at the end by a plus.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import SGDRegressor

from skbasics import OnlineMeanVar, StreamPipeline

generator = np.random.default_rng(0)
N = 4000
truth = 1000 + np.r_[np.zeros(1000), np.linspace(0, 6, 1500), np.full(1500, 12.0)]
readings = (truth + generator.normal(0, 2, N))[:, None]

streams = {
    "all of the past": OnlineMeanVar(ddof=1),
    "half_life=50": OnlineMeanVar(ddof=1, half_life=50),
}
history = {label: np.full((N, 2), np.nan) for label in streams}
for i, reading in enumerate(readings):
    for label, stream in streams.items():
        stream.partial_fit(reading[None])
        if i >= 10:
            history[label][i] = stream.mean_[0], stream.standard_error_[0]

print(f"{'':16}{'mean':>10}{'error':>8}{'deviation':>11}{'rows':>8}   (truth: 1012, 2)")
for label, stream in streams.items():
    mean, error = history[label][-1]
    rows = stream.n_effective_[0]
    print(f"{label:16}{mean:10.3f}{error:8.3f}{stream.scale_[0]:11.3f}{rows:8.0f}")

# Two halves of a stream, seen on two machines, are one stream; and one can be taken out again.
first, second = (OnlineMeanVar(ddof=1).fit(part) for part in (readings[:1000], readings[1000:]))
print("first + second == all:", np.allclose((first + second).var_, streams["all of the past"].var_))
print("all - second == first:", np.allclose((first + second - second).var_, first.var_))

# A pipeline learns from the same stream: tomorrow's reading from the last three.
lags = np.lib.stride_tricks.sliding_window_view(readings[:, 0], 4)
model = StreamPipeline(
    [("scale", OnlineMeanVar(half_life=200)), ("line", SGDRegressor(random_state=0, eta0=0.05))]
)
errors = []
for batch in np.array_split(lags, 200):
    if errors or hasattr(model["scale"], "mean_"):
        errors.append(np.mean((model.predict(batch[:, :3]) - batch[:, 3]) ** 2))
    model.partial_fit(batch[:, :3], batch[:, 3])
print(f"pipeline, squared error of the last ten batches: {np.mean(errors[-10:]):.1f} (noise: 4)")

figure, (above, below) = plt.subplots(
    2, sharex=True, figsize=(9, 6), height_ratios=(3, 1), layout="constrained"
)
above.plot(readings[:, 0], ".", color="0.8", markersize=2, label="readings")
above.plot(truth, "k--", linewidth=1, label="truth")
for label, values in history.items():
    mean, error = values.T
    (line,) = above.plot(mean, label=label)
    band = mean - 1.96 * error, mean + 1.96 * error
    above.fill_between(np.arange(N), *band, color=line.get_color(), alpha=0.3)
    below.plot(error, color=line.get_color())
above.set(ylabel="value", title="The mean, with 1.96 standard errors on either side")
below.set(xlabel="reading", ylabel="standard error", yscale="log")
below.set_yticks([0.05, 0.1, 0.2, 0.5], ["0.05", "0.1", "0.2", "0.5"])
below.minorticks_off()
above.legend()
plt.show()
