"""`python -m himalia_server.gateway`."""

import sys

from himalia_server.gateway.parent import main

if __name__ == "__main__":
    sys.exit(main())
