"""Loads a script, which has no suffix, as a module."""

import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader

sys.dont_write_bytecode = True


def load(name):
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), name)
    loader = SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
