"""Model architectures: each file here is one, found by its name.

Such a file has

- ``FEATURES``: the kind of features that the model reads, for example ``"mel"``;
- ``VECTORS``: whether it can read any kind whose rows are vectors; models then have the setting ``features``, whose
  default is ``FEATURES``;
- ``SETTINGS``: its own settings, each a JSON Schema rule with a ``default``;
- ``DEFAULTS``: other defaults of settings that every model has, or every model that is trained by gradient;
- ``build(input_shape, classes, settings)``: returns an uncompiled ``keras.Model`` of any kind with one input of
  ``input_shape`` and one output, the probabilities of the classes. Keras finds its own layers when a model is loaded,
  and classes of layers and models that the file defines;
- ``fit(network, train, valid, settings, seed)``, if the model is not trained by gradient: sets the weights of what
  ``build`` returned. ``train`` and ``valid`` are standardised features and class codes.
"""

from serflow.runtime.plugins import REQUIRED, Plugins

ARCHITECTURES = Plugins(
    __name__,
    what="model architecture",
    function="build",
    constants={"FEATURES": REQUIRED, "VECTORS": False, "SETTINGS": {}, "DEFAULTS": {}},
)
