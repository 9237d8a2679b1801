"""Compression: one file a technique, recipes that put them together, and `intaglio.compress(...)`, which runs one.

A package is a module, and the verb has its name: so the module can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..recipes.run import Compressed


class _Verb(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Compressed:
        """See recipes.run.compress."""
        from ..recipes.run import compress

        return compress(*args, **kwargs)


sys.modules[__name__].__class__ = _Verb
