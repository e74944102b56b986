"""The network of custom-space.toml: a small mixer (Tolstikhin et al. 2021) over the rows of an image."""

from torch import nn


class Block(nn.Module):
    """Mixes rows with each other, then the features of each row; (b, rows, width) stays."""

    def __init__(self, rows, width, *, mix, ratio, dropout):
        super().__init__()
        mixers = {
            "dense": lambda: nn.Linear(rows, rows),
            "conv": lambda: nn.Conv1d(width, width, 3, padding=1, groups=width),
            "pool": lambda: nn.AvgPool1d(3, stride=1, padding=1),
        }
        self.mix = mixers[mix]()
        self.features = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.mix(x.transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.features(x))


class Mixer(nn.Module):
    """(b, channels, height, width) -> (b, classes)."""

    def __init__(self, config, input_shape, output_shape):
        super().__init__()
        channels, height, length = input_shape
        width = config["width"]
        self.embed = nn.Linear(channels * length, width)
        self.blocks = nn.Sequential(
            *(Block(height, width, mix=mix, ratio=config["ratio"], dropout=config["dropout"]) for mix in config["mix"])
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, *output_shape))

    def forward(self, x):
        rows = x.transpose(1, 2).flatten(2)  # (b, height, channels * length)
        return self.head(self.blocks(self.embed(rows)).mean(dim=1))


def build(config, input_shape, output_shape):
    """What [model] build names: one architecture as a plain dict, and the shapes of one sample."""
    return Mixer(config, input_shape, output_shape)
