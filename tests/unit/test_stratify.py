import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serflow.splits.stratify import divide
from sklearn.model_selection import train_test_split


@settings(max_examples=300, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
    order=st.randoms(use_true_random=False),
)
def test_the_same_rows_as_scikit_learn(counts, share, seed, order):
    codes = [code for code, count in enumerate(counts) for _ in range(count)]
    order.shuffle(codes)
    codes = np.array(codes)
    one_hot = np.eye(len(counts))[codes]
    try:
        theirs = train_test_split(np.arange(len(codes)), test_size=share, stratify=one_hot, random_state=seed)
    except ValueError:
        with pytest.raises(ValueError, match="cannot be divided"):
            divide(codes, share, seed)
    else:
        ours = divide(codes, share, seed)
        assert [half.tolist() for half in ours] == [half.tolist() for half in theirs]
