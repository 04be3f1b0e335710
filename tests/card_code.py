"""The Python code that a model card shows."""

import re
import subprocess
import sys

# serflow cannot be imported.
ALONE = "import sys; sys.modules['serflow'] = None\n"


def blocks(card):
    return re.findall(r"^```python\n(.*?)^```$", card, re.M | re.S)


def run_alone(code, folder):
    """Return what code prints in a folder, without serflow."""
    command = [sys.executable, "-c", ALONE + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
