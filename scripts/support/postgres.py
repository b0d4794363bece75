"""A Postgres of its own for a script, from Debian's package, and statements for it."""

import contextlib
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from support.smtp import free_port


def find(program):
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: -int(p.split("/")[4]))
    found = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *debian]))
    return found or sys.exit(f"{program} is missing: apt-get install postgresql")


@contextlib.contextmanager
def postgres():
    """Runs a cluster without data until the block ends, and yields its URL."""
    initdb, pg_ctl = find("initdb"), find("pg_ctl")
    # Postgres refuses to run as root.
    account = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        if account:
            shutil.chown(folder, **account)
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "check": True, **account}
        data, port = f"{folder}/data", free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=."
        subprocess.run([initdb, "-D", data, "-U", "tokenhouse", "-A", "trust", "-E", "UTF8"], **quiet)
        subprocess.run([pg_ctl, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"], **quiet)
        try:
            yield f"postgres://tokenhouse@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([pg_ctl, "-D", data, "-m", "immediate", "-w", "stop"], **quiet)


def query(url, statement):
    """Runs a statement. Returns the first value, as a text; empty without one."""
    command = [find("psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", url, "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run([*command, "-c", statement], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.partition("\n")[0]
