"""Where recordings come from: sources, file-name grammar, catalogue, splits and the sample corpus."""
