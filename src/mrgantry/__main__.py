"""`python -m mrgantry` is the command line."""

from mrgantry.cli import main

main()
