"""``python -m serflow COMMAND``."""

from serflow.cli import main

if __name__ == "__main__":
    main()
