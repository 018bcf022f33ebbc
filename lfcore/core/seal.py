"""Record the hash of a file beside it, for a file that another program wrote: python -m lfcore.core.seal FILE."""

import sys

from lfcore.core import records

if __name__ == "__main__":
    records.seal(sys.argv[1])
