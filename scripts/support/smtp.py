"""A mail server of aiosmtpd, and free ports."""

import contextlib
import socket
import ssl

# What scripts with a mail server install into their virtual environment.
PACKAGES = ["aiosmtpd==1.4.6", "trustme==1.2.1"]

# In seconds.
START_TIMEOUT = 15


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def aiosmtpd(handler, *, tls=None, implicit=False, **options):
    """Runs a server; yields its port and its handler."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP

    class Server(Controller):
        def factory(self):
            context = None if implicit else tls
            return SMTP(self.handler, tls_context=context, enable_SMTPUTF8=False, **options)

        def _trigger_server(self):
            """Connects once, without the checks of the certificate that its own method makes."""
            client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
            with socket.create_connection((self.hostname, self.port), 1) as connection:
                if implicit:
                    connection = client.wrap_socket(connection)
                connection.recv(1024)
                connection.close()

    port = free_port()
    context = tls if implicit else None
    server = Server(handler, hostname="127.0.0.1", port=port, ssl_context=context, ready_timeout=START_TIMEOUT)
    server.start()
    try:
        yield port, handler
    finally:
        server.stop()
