"""The tests of an app: example_app.py. Copy what you need."""

from datetime import UTC, datetime, timedelta


def test_a_user_reads_notes(client, tokenhouse_user, tokenhouse):
    ada = tokenhouse_user("ada@example.com")
    response = client.get("/notes", headers=tokenhouse.headers(ada))
    assert response.json() == {"notes_of": "ada@example.com"}


def test_nobody_else_does(client):
    assert client.get("/notes").status_code == 401


def test_orders_need_the_scope(client, auth_headers):
    assert client.get("/orders", headers=auth_headers(scopes="orders:read")).status_code == 200
    assert client.get("/orders", headers=auth_headers()).status_code == 403


def test_a_session_ends(client, auth_headers, tokenhouse_clock):
    headers = auth_headers()
    tokenhouse_clock.advance(timedelta(hours=23))
    assert client.get("/notes", headers=headers).status_code == 200
    tokenhouse_clock.advance(timedelta(hours=2))
    assert client.get("/notes", headers=headers).status_code == 401


def test_refunds_need_a_second_factor_and_a_recent_sign_in(client, tokenhouse, tokenhouse_clock):
    ada = tokenhouse.create_user(scopes="orders:read")

    def refund(amr):
        response = client.post("/refunds", headers=tokenhouse.headers(ada, amr=amr))
        return response.status_code, response.headers.get("WWW-Authenticate", "")

    second_factor = ["pwd", "otp", "mfa"]
    assert refund(second_factor)[0] == 200
    status, challenge = refund(["pwd"])
    assert status == 401 and 'acr_values="mfa"' in challenge
    # The app goes by the time of its machine.
    tokenhouse_clock.set(datetime.now(UTC) - timedelta(minutes=10))
    status, challenge = refund(second_factor)
    assert status == 401 and 'max_age="300"' in challenge
    assert "insufficient_user_authentication" in challenge


def test_the_app_knows_the_session(client, auth_headers, tokenhouse_user, tokenhouse_clock):
    ada = tokenhouse_user()
    tokenhouse_clock.set(datetime(2026, 1, 1, tzinfo=UTC))
    first, second = (client.get("/me", headers=auth_headers(ada)).json() for _ in range(2))
    assert first["sid"] != second["sid"]
    assert first["auth_time"] == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def test_an_outage_is_no_sign_out(client, auth_headers, tokenhouse):
    headers = auth_headers()
    tokenhouse.fail_database(60_000)
    assert client.get("/notes", headers=headers).status_code == 503
    tokenhouse.fail_database(0)
    assert client.get("/notes", headers=headers).status_code == 200
