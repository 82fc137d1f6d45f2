"""`python -m memstore`: the command line, where its script is not on the path."""

from memstore.cli import main

main()
