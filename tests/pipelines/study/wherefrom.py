"""A step that says in its log where the packages lie from which a command on its node runs."""

from __future__ import annotations

import sys

import bg20k
import pipelines
import rssn
import train

if __name__ == "__main__":
    sys.stdout.writelines(f"{module.__file__}\n" for module in (bg20k, pipelines, rssn, train))
