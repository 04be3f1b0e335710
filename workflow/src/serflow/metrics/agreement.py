"""Agreement of probabilities with the shares of listeners' votes."""

import numpy as np


def jensen_shannon_distance(p, q) -> np.ndarray:
    """Return the Jensen–Shannon distance of distributions, both (n, K) → (n,): 0 if they are equal, 1 at most.

    It is the square root of the divergence in bits.

    References
    ----------
    Endres & Schindelin, "A new metric for probability distributions", IEEE Trans. Information Theory 49(7), 2003.
    """
    from scipy.spatial.distance import jensenshannon

    # Rounding can make the divergence of equal distributions negative, and its root NaN.
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(jensenshannon(p, q, base=2, axis=1))


def share_correlation(p, q) -> np.ndarray:
    """Return the Pearson correlation of the shares of each class over clips, both (n, K) → (K,); 0 for a constant."""
    p, q = (np.asarray(values, float) - np.mean(values, axis=0) for values in (p, q))
    norm = np.sqrt((p**2).sum(axis=0) * (q**2).sum(axis=0))
    found = np.divide((p * q).sum(axis=0), norm, out=np.zeros(p.shape[1]), where=norm > 0)
    return np.clip(found, -1, 1)  # rounding can give more than 1


def entropy(p) -> np.ndarray:
    """Return the entropy of distributions in bits, (n, K) → (n,): 0 for one sure class, log2 K at most."""
    from scipy.special import entr

    return entr(np.asarray(p, float)).sum(axis=1) / np.log(2)
