"""No model unless a test asks for one: a test that is about something else embeds nothing, whatever is installed."""

import os

os.environ["MEMSTORE_MODEL"] = "none"
