from types import SimpleNamespace

from serflow.models.registry import MODELS


def named_models(models):
    return {
        name: SimpleNamespace(name=name, features=MODELS[name].features, architecture=MODELS[name], settings=settings)
        for name, settings in models.items()
    }
