"""``python -m orcheo_sql`` is ``orcheo-sql``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
