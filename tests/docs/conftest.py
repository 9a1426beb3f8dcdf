"""A hub that has what the pages take from it, and a terminal whose hub it is."""

import pytest
from hub_stand_in import Hub, environment
from terminal import Terminal

SMALL = {"num_hidden_layers": 12, "num_attention_heads": 6, "hidden_size": 384, "intermediate_size": 1536}
TINY = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """An image ViT-S/16 with its size, and a ViViT with its name."""
    transformers = pytest.importorskip("transformers")
    models = {
        "WinKawaks/vit-small-patch16-224": transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL)),
        "google/vivit-b-16x2-kinetics400": transformers.VivitForVideoClassification(transformers.VivitConfig(**TINY, num_labels=400)),
    }
    hub, published = Hub(), tmp_path_factory.mktemp("published")
    for name, model in models.items():
        model.save_pretrained(published / name)
        hub.publish(name, published / name)
    yield hub
    hub.shutdown()


@pytest.fixture(scope="session")
def terminal(hub, tmp_path_factory):
    """What a reader types into, whose home and hub all pages share."""
    home = tmp_path_factory.mktemp("reader") / "home"
    terminal = Terminal(home, environment(home, hub.url))
    yield terminal
    terminal.close()
