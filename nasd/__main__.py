"""`python -m nasd`: the same as the program `nasd`."""

from nasd.cli.main import main

main()
