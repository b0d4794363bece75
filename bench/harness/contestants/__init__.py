"""Everybody who is compared, in the order of the tables."""

from .bare import Bare
from .base import Contestant
from .express import Express
from .python_peers import DjangoKnox, FastApiUsers, Tutorial
from .tokenhouse import StaticKey, TokenhousePostgres, TokenhouseSqlite

# Tokenhouse with login tokens.
TOKENS: tuple[Contestant, ...] = (TokenhouseSqlite(), TokenhousePostgres())
OURS: tuple[Contestant, ...] = (Bare(), StaticKey(), *TOKENS)
PEERS: tuple[Contestant, ...] = (Tutorial(), FastApiUsers(), DjangoKnox(), Express())
