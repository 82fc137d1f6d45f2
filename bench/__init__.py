"""The budgets of DESIGN 9, each measured beside its floor in one run: `python -m bench`."""
