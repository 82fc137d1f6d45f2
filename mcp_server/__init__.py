"""The MCP server: memstore's verbs as tools, one process beside one agent.

fastmcp reads settings from FASTMCP_* and from an `.env` of whatever directory it is started in, so a checked-out
repository could turn on its debug log, which holds arguments. They are fixed here, before it can be imported.
"""

import os

os.environ.update(
    FASTMCP_ENV_FILE=os.devnull,
    FASTMCP_LOG_ENABLED="false",
    FASTMCP_TELEMETRY_MODE="off",
    FASTMCP_CHECK_FOR_UPDATES="off",
    FASTMCP_SHOW_SERVER_BANNER="false",
)
