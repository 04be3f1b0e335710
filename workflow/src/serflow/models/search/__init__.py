"""Search for the settings of a model: random trials that are judged on validation speakers alone."""
