"""A database in which the console has something to show."""

import math
import random
import sqlite3
from datetime import datetime, timedelta, timezone

from support.server import PASSWORD, send, sign_in

ADMIN = "ada@example.com"

# Names that are hard to lay out: long, from right to left, with markup.
PEOPLE = [
    ("Ada Lovelace", ADMIN),
    ("Grace Hopper", "grace@example.com"),
    (
        "Maximiliane-Alexandra von und zu Hohenstein-Wittelsbach",
        "a.very.long.address.with.many.parts@subdomain.of.a.long.domain.example.com",
    ),
    ("\u0645\u0631\u064a\u0645 \u0627\u0644\u0623\u0633\u0637\u0631\u0644\u0627\u0628\u064a", "mariam@example.org"),
    ("\u05e2\u05d3\u05d4 \u05dc\u05d0\u05d1\u05dc\u05d9\u05d9\u05e1", "ada@example.co.il"),
    ("M\u00fcller <script>", "mueller@example.de"),
]

# The scopes of the administrator.
SCOPES = "users:read users:write events:read"


def fill(base, database, further=60):
    """Registers people, signs some of them in, and writes a week of hourly values."""
    random.seed(4)
    people = PEOPLE + [(f"Person {i:03}", f"person{i:03}@example.com") for i in range(further)]
    for name, email in people:
        body = {
            "name": name,
            "surname": "Example",
            "email": email,
            "website": "https://example.com/",
            "password": PASSWORD,
        }
        send("POST", f"{base}/register", body)
    for _ in range(2):
        sign_in(base, "grace@example.com")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE users SET scopes = ? WHERE email = ?", (SCOPES, ADMIN))
        connection.executemany("INSERT OR REPLACE INTO hourly_stats VALUES (?, ?, ?, ?)", a_week(len(people)))
    connection.close()


def a_week(users):
    """Yields values as the service writes them: name, hour, label, value."""
    this_hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    for ago in range(168):
        hour = this_hour - timedelta(hours=ago)
        text = hour.strftime("%Y-%m-%d %H:%M:%S")
        wave = max(0.0, math.sin((hour.hour - 6) / 24 * 2 * math.pi))
        sign_ins = int(wave * 80) + random.randint(2, 20)
        yield "sign-in", text, "ok", sign_ins
        yield "sign-in", text, "refused", random.choice([0, 0, 1, 2, 3, 5])
        yield "sessions", text, "", 200 + sign_ins * 3
        yield "users", text, "", users
        for bound, share in (("10000", 80), ("100000", 30), ("250000", 3)):
            yield "hash-wait", text, bound, share * max(1, sign_ins) // 50
        for reason, most in (("wrong-password", 3), ("unknown-user", 2), ("throttled", 1)):
            yield "refusal", text, reason, random.randint(0, most)
        for limit, most in (("account", 2), ("changes", 1), ("registrations", 1)):
            yield "limit", text, limit, random.randint(0, most)
        for address, most in (("198.51.100.4", 2), ("2001:db8:85a3::8a2e:370:7334", 3), ("203.0.113.99", 1)):
            yield "address", text, address, random.randint(0, most)
