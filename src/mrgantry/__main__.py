"""`python -m mrgantry` is the command line."""

from mrgantry.cli import main

if __name__ == "__main__":
    main()
