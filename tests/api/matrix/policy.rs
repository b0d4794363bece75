//! The declared policy: who may use which route. A route that is missing here fails the test.

use super::credential::{Form, Kind, Standing};

/// Who may use a route.
#[derive(Clone, Copy)]
pub enum Guard {
    /// All clients, whatever they send.
    Open,
    /// Clients with the static key in the header `Token`.
    StaticKey,
    /// Clients with the static key in any place for credentials.
    Metrics,
    /// Users with a login token or an API key.
    User,
    /// Users with a login token, or with an API key that has a scope.
    ScopedUser,
    /// Users with a login token.
    Login,
    /// The same, and users whose sign-in waits for them to add a second factor.
    Enrolment,
    /// Users and apps that hold this scope, with a credential that has it.
    Scope(&'static str),
    /// As [`Guard::Scope`], with a login token.
    LoginScope(&'static str),
    /// As [`Guard::User`], or as [`Guard::Scope`] with a scope, with responses for a proxy.
    Proxy(Option<&'static str>),
    /// As [`Guard::Scope`] for `introspect`, or a client with the static key.
    Client,
    /// Anonymous clients and users; no invalid credential.
    Optional,
    /// The program that started `tokenhouse dev`, with its key.
    Control,
}

/// The request body.
#[derive(Clone, Copy)]
pub enum Body {
    None,
    Json(&'static str),
    Form(&'static str),
}

/// A route, a harmless request to it, and the status of the response when the guard accepts it.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    /// As in the OpenAPI document.
    pub path: &'static str,
    /// The path with values in place of its parameters.
    pub target: &'static str,
    pub guard: Guard,
    pub body: Body,
    pub passed: u16,
}

const fn route(
    method: &'static str,
    path: &'static str,
    guard: Guard,
    body: Body,
    passed: u16,
) -> Route {
    Route {
        method,
        path,
        target: path,
        guard,
        body,
        passed,
    }
}

const fn get(path: &'static str, guard: Guard) -> Route {
    route("GET", path, guard, Body::None, 200)
}

const fn at(target: &'static str, route: Route) -> Route {
    Route { target, ..route }
}

const fn patch_user(body: &'static str, guard: Guard, passed: u16) -> Route {
    let path = "/admin/users/{id}";
    at(
        "/admin/users/1",
        route("PATCH", path, guard, Body::Json(body), passed),
    )
}

const fn verify(method: &'static str) -> Route {
    route(method, "/verify", Guard::Proxy(None), Body::None, 200)
}

const USERS_READ: Guard = Guard::Scope("users:read");
const USERS_WRITE: Guard = Guard::Scope("users:write");
const USERS_WRITE_BY_LOGIN: Guard = Guard::LoginScope("users:write");

/// The address is taken, so no user is created.
const TAKEN: Body = Body::Json(
    r#"{"name":"Other User","surname":"","email":"plain@example.com","website":"","password":"mulberry-Tram-71"}"#,
);
const WRONG_PASSWORD: Body = Body::Json(r#"{"current_password":"wrong"}"#);
const WRONG_PASSWORDS: Body =
    Body::Json(r#"{"current_password":"wrong","new_password":"mulberry-Tram-71"}"#);

/// No user has the address, so no mail is sent.
const NOBODY: Body = Body::Json(r#"{"email":"nobody@example.com"}"#);
const NO_ADDRESS: Body = Body::Json(r#"{"email":"none"}"#);
const WRONG_TOKEN: Body = Body::Json(r#"{"token":"wrong"}"#);
const NO_INVITATION: Body =
    Body::Json(r#"{"token":"wrong","surname":"","password":"mulberry-Tram-71"}"#);
const WRONG_LINK: Body = Body::Json(r#"{"token":"wrong","password":"mulberry-Tram-71"}"#);

/// Every route with every method that it accepts; `HEAD` goes with `GET`.
pub const ROUTES: &[Route] = &[
    // Registration, sign-in and logout.
    route("POST", "/register", Guard::Open, TAKEN, 409),
    route("POST", "/token", Guard::Open, Body::Form("username=a"), 422),
    route("POST", "/logout", Guard::Login, Body::None, 204),
    // The matrix has no passkeys; `tests/api/passkeys` has.
    route(
        "POST",
        "/mfa/webauthn/options",
        Guard::Open,
        Body::Json(r#"{"none":1}"#),
        422,
    ),
    route(
        "POST",
        "/passkeys/options",
        Guard::Open,
        Body::Json(r#"{"none":1}"#),
        422,
    ),
    // What is done by mail.
    route("POST", "/forgot-password", Guard::Open, NOBODY, 202),
    route("POST", "/reset-password", Guard::Open, WRONG_LINK, 400),
    route(
        "POST",
        "/verify-email/request",
        Guard::Optional,
        NOBODY,
        202,
    ),
    route("POST", "/verify-email", Guard::Optional, WRONG_LINK, 400),
    route("POST", "/users/me/email", Guard::Login, NO_ADDRESS, 422),
    route("DELETE", "/users/me/email", Guard::Login, Body::None, 204),
    route("POST", "/change-email", Guard::Open, WRONG_TOKEN, 400),
    route("POST", "/change-email/undo", Guard::Open, WRONG_TOKEN, 400),
    // The user's own account.
    get("/users/me", Guard::User),
    route("PATCH", "/users/me", Guard::Login, Body::Json("{}"), 200),
    route("DELETE", "/users/me", Guard::Login, WRONG_PASSWORD, 403),
    route(
        "POST",
        "/users/me/password",
        Guard::Login,
        WRONG_PASSWORDS,
        403,
    ),
    get("/users/me/keys", Guard::Login),
    route(
        "POST",
        "/users/me/keys",
        Guard::Login,
        Body::Json(r#"{"name":"k"}"#),
        201,
    ),
    at(
        "/users/me/keys/999999",
        route(
            "DELETE",
            "/users/me/keys/{id}",
            Guard::Login,
            Body::None,
            404,
        ),
    ),
    get("/users/me/sessions", Guard::Login),
    at(
        "/users/me/sessions?keep=current",
        route(
            "DELETE",
            "/users/me/sessions",
            Guard::Login,
            Body::None,
            204,
        ),
    ),
    at(
        "/users/me/sessions/999999",
        route(
            "PATCH",
            "/users/me/sessions/{id}",
            Guard::Login,
            Body::Json(r#"{"name":"phone"}"#),
            404,
        ),
    ),
    at(
        "/users/me/sessions/999999",
        route(
            "DELETE",
            "/users/me/sessions/{id}",
            Guard::Login,
            Body::None,
            404,
        ),
    ),
    get("/users/me/events", Guard::ScopedUser),
    route(
        "POST",
        "/users/me/reauthenticate",
        Guard::Login,
        Body::Json(r#"{"otp":"none"}"#),
        422,
    ),
    route(
        "POST",
        "/users/me/reauthenticate/options",
        Guard::Login,
        Body::Json("{}"),
        409,
    ),
    get("/users/me/factors", Guard::Login),
    route(
        "POST",
        "/users/me/factors",
        Guard::Enrolment,
        Body::Json(r#"{"kind":"none"}"#),
        422,
    ),
    at(
        "/users/me/factors/999999",
        route(
            "PATCH",
            "/users/me/factors/{id}",
            Guard::Login,
            Body::Json(r#"{"name":"phone"}"#),
            404,
        ),
    ),
    at(
        "/users/me/factors/999999",
        route(
            "DELETE",
            "/users/me/factors/{id}",
            Guard::Login,
            WRONG_PASSWORD,
            403,
        ),
    ),
    at(
        "/users/me/factors/999999/confirm",
        route(
            "POST",
            "/users/me/factors/{id}/confirm",
            Guard::Enrolment,
            Body::Json(r#"{"otp":"none"}"#),
            422,
        ),
    ),
    route(
        "POST",
        "/users/me/recovery-codes",
        Guard::Login,
        WRONG_PASSWORD,
        403,
    ),
    get("/users/me/devices", Guard::Login),
    route("DELETE", "/users/me/devices", Guard::Login, Body::None, 204),
    at(
        "/users/me/devices/999999",
        route(
            "DELETE",
            "/users/me/devices/{id}",
            Guard::Login,
            Body::None,
            404,
        ),
    ),
    // OAuth2.
    route(
        "POST",
        "/revoke",
        Guard::Optional,
        Body::Form("token=unknown"),
        200,
    ),
    route(
        "POST",
        "/introspect",
        Guard::Client,
        Body::Form("token=unknown"),
        200,
    ),
    get("/.well-known/oauth-authorization-server", Guard::Open),
    route("GET", "/.well-known/webauthn", Guard::Open, Body::None, 404),
    // Reverse proxies.
    verify("GET"),
    verify("POST"),
    verify("PUT"),
    verify("PATCH"),
    verify("DELETE"),
    verify("OPTIONS"),
    verify("PROPFIND"),
    // An invalid query of the proxy is rejected for users too.
    at(
        "/verify?scope=",
        route("GET", "/verify", Guard::Proxy(None), Body::None, 403),
    ),
    at(
        "/verify?scope=users:read",
        get("/verify", Guard::Proxy(Some("users:read"))),
    ),
    // Administration.
    get("/admin/users", USERS_READ),
    route("POST", "/admin/users", USERS_WRITE_BY_LOGIN, TAKEN, 409),
    at("/admin/users/1", get("/admin/users/{id}", USERS_READ)),
    patch_user("{}", USERS_WRITE, 200),
    patch_user(r#"{"disabled":false}"#, USERS_WRITE, 200),
    patch_user(r#"{"surname":"Example"}"#, USERS_WRITE_BY_LOGIN, 200),
    patch_user(r#"{"scopes_add":""}"#, USERS_WRITE_BY_LOGIN, 200),
    patch_user(
        r#"{"scopes_remove":"orders:read"}"#,
        USERS_WRITE_BY_LOGIN,
        200,
    ),
    patch_user(r#"{"scopes":""}"#, USERS_WRITE, 428),
    at(
        "/admin/users/999999",
        route(
            "DELETE",
            "/admin/users/{id}",
            USERS_WRITE_BY_LOGIN,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/999999/reset",
        route(
            "POST",
            "/admin/users/{id}/reset",
            USERS_WRITE_BY_LOGIN,
            Body::Json("{}"),
            404,
        ),
    ),
    get("/admin/invitations", USERS_READ),
    route(
        "POST",
        "/admin/invitations",
        USERS_WRITE_BY_LOGIN,
        NO_ADDRESS,
        422,
    ),
    at(
        "/admin/invitations/999999/resend",
        route(
            "POST",
            "/admin/invitations/{id}/resend",
            USERS_WRITE_BY_LOGIN,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/invitations/999999",
        route(
            "DELETE",
            "/admin/invitations/{id}",
            USERS_WRITE_BY_LOGIN,
            Body::None,
            404,
        ),
    ),
    at(
        "/invitations/wrong",
        route("GET", "/invitations/{token}", Guard::Open, Body::None, 400),
    ),
    route(
        "POST",
        "/invitations/accept",
        Guard::Open,
        NO_INVITATION,
        400,
    ),
    get("/admin/mail", USERS_READ),
    at(
        "/admin/mail/999999",
        route("DELETE", "/admin/mail/{id}", USERS_WRITE, Body::None, 404),
    ),
    at(
        "/admin/mail/999999/retry",
        route(
            "POST",
            "/admin/mail/{id}/retry",
            USERS_WRITE,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/999999/tokens",
        route(
            "DELETE",
            "/admin/users/{id}/tokens",
            USERS_WRITE,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/1/sessions",
        get("/admin/users/{id}/sessions", USERS_READ),
    ),
    at(
        "/admin/users/999999/sessions",
        route(
            "DELETE",
            "/admin/users/{id}/sessions",
            USERS_WRITE,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/1/sessions/999999",
        route(
            "DELETE",
            "/admin/users/{id}/sessions/{session}",
            USERS_WRITE,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/999999/unlock",
        route(
            "POST",
            "/admin/users/{id}/unlock",
            USERS_WRITE,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/999999/factors",
        route(
            "DELETE",
            "/admin/users/{id}/factors",
            USERS_WRITE_BY_LOGIN,
            Body::None,
            404,
        ),
    ),
    at(
        "/admin/users/1/factors/999999",
        route(
            "DELETE",
            "/admin/users/{id}/factors/{factor}",
            USERS_WRITE_BY_LOGIN,
            Body::None,
            404,
        ),
    ),
    get("/admin/events", Guard::Scope("events:read")),
    // The static key.
    get("/page", Guard::StaticKey),
    get("/protected", Guard::StaticKey),
    get("/metrics", Guard::Metrics),
    // Health, documentation and other operational routes.
    get("/health/live", Guard::Open),
    get("/livez", Guard::Open),
    get("/health/ready", Guard::Open),
    get("/readyz", Guard::Open),
    get("/docs", Guard::Open),
    at("/docs/init.js", get("/docs/{file}", Guard::Open)),
    get("/redoc", Guard::Open),
    at(
        "/redoc/redoc.standalone.js",
        get("/redoc/{file}", Guard::Open),
    ),
    get("/openapi.json", Guard::Open),
];

const fn control(path: &'static str, body: &'static str, passed: u16) -> Route {
    route("POST", path, Guard::Control, Body::Json(body), passed)
}

/// The routes that only `tokenhouse dev` has, with every method.
pub const CONTROL_ROUTES: &[Route] = &[
    control("/_dev/users", r#"{"email":"plain@example.com"}"#, 409),
    control("/_dev/sign-in", r#"{"email":"nobody@example.com"}"#, 404),
    get("/_dev/clock", Guard::Control),
    control("/_dev/clock", r#"{"advance":0}"#, 200),
    get("/_dev/mail", Guard::Control),
    control("/_dev/reset", r#"{"domain":"nobody.example.com"}"#, 200),
    control("/_dev/fault", r#"{"database":"down","for_ms":0}"#, 204),
];

/// What a guard sees of a request.
pub enum Presented<'a> {
    Nothing,
    One(&'a Kind),
    Two,
}

/// Status and challenge.
pub type Outcome = (u16, Option<String>);

const CHALLENGE: &str = r#"Bearer realm="tokenhouse""#;

/// The expected outcome for a credential in this place.
pub fn outcome(route: &Route, kind: &Kind, form: Form, other: &Kind) -> Outcome {
    let passed = match (form, route.body) {
        (Form::WithBadBody, Body::Json(_)) => (422, None),
        (Form::WithBadBody, Body::Form(_)) => (400, None),
        _ => (route.passed, None),
    };
    let presented = form.presented_to_users(kind, other);
    let is_client = match form {
        Form::Bearer | Form::BearerInLowerCase | Form::WithBadBody => kind.is_static_key(),
        _ => false,
    };
    match route.guard {
        Guard::Open => passed,
        Guard::StaticKey | Guard::Metrics if matches!(presented, Presented::Two) => (400, None),
        Guard::Metrics => {
            let is_presented = matches!(
                form,
                Form::Bearer
                    | Form::BearerInLowerCase
                    | Form::TokenScheme
                    | Form::TokenHeader
                    | Form::Basic
                    | Form::SameTwice
                    | Form::WithBadBody
            );
            if is_presented && kind.is_static_key() {
                passed
            } else {
                (403, None)
            }
        }
        Guard::StaticKey => match form.in_token_header(kind, other) {
            Some(kind) if kind.is_static_key() => passed,
            _ => (403, None),
        },
        Guard::Client if is_client => passed,
        Guard::Client if form == Form::Basic && !kind.is_nothing() => {
            if kind.is_static_key() {
                passed
            } else {
                (401, Some(r#"Basic realm="tokenhouse""#.to_owned()))
            }
        }
        Guard::Client => {
            for_users(&presented, |kind| with_scope(kind, "introspect")).unwrap_or(passed)
        }
        Guard::User => for_users(&presented, by_user).unwrap_or(passed),
        Guard::ScopedUser => for_users(&presented, scoped).unwrap_or(passed),
        Guard::Login => for_users(&presented, by_login).unwrap_or(passed),
        Guard::Enrolment => match presented {
            Presented::One(kind) if kind.is_enrolment() => passed,
            presented => for_users(&presented, by_login).unwrap_or(passed),
        },
        Guard::LoginScope(name) => {
            // Whether a key suffices may depend on the body, so that comes before.
            let is_bad = form == Form::WithBadBody && !matches!(route.body, Body::None);
            let refusal =
                |kind: &Kind| with_scope(kind, name).or_else(|| by_login(kind).filter(|_| !is_bad));
            for_users(&presented, refusal).unwrap_or(passed)
        }
        Guard::Scope(name) => {
            for_users(&presented, |kind| with_scope(kind, name)).unwrap_or(passed)
        }
        Guard::Control => match presented {
            Presented::One(kind) if kind.is_control_key() => passed,
            presented => for_users(&presented, |_| Some(invalid_token())).unwrap_or(passed),
        },
        Guard::Optional if matches!(presented, Presented::Nothing) => passed,
        Guard::Optional => for_users(&presented, by_user).unwrap_or(passed),
        Guard::Proxy(_) if matches!(presented, Presented::Two) => invalid_token(),
        // An invalid query is refused before anything else about a valid credential.
        Guard::Proxy(None) if route.passed == 403 => {
            for_users(&presented, |_| None).unwrap_or(passed)
        }
        Guard::Proxy(None) => for_users(&presented, by_user).unwrap_or(passed),
        Guard::Proxy(Some(name)) => {
            for_users(&presented, |kind| with_scope(kind, name)).unwrap_or(passed)
        }
    }
}

/// The refusal, if any: without a valid user credential, or by the check `allowed`.
fn for_users(
    presented: &Presented<'_>,
    allowed: impl Fn(&Kind) -> Option<Outcome>,
) -> Option<Outcome> {
    match presented {
        Presented::Nothing => Some((401, Some(CHALLENGE.to_owned()))),
        Presented::Two => Some((400, None)),
        Presented::One(kind) if !kind.is_valid() => Some(invalid_token()),
        Presented::One(kind) => allowed(kind),
    }
}

fn invalid_token() -> Outcome {
    (401, Some(format!(r#"{CHALLENGE}, error="invalid_token""#)))
}

/// An app is no user.
fn by_user(kind: &Kind) -> Option<Outcome> {
    match kind.standing {
        Standing::App(_) => by_login(kind),
        _ => None,
    }
}

fn by_login(kind: &Kind) -> Option<Outcome> {
    let refusal = format!(r#"{CHALLENGE}, error="insufficient_scope""#);
    (!matches!(kind.standing, Standing::Login(_))).then_some((403, Some(refusal)))
}

fn scoped(kind: &Kind) -> Option<Outcome> {
    match kind.standing {
        Standing::Key("") | Standing::App(_) => by_login(kind),
        _ => None,
    }
}

fn with_scope(kind: &Kind, name: &str) -> Option<Outcome> {
    let refusal = format!(r#"{CHALLENGE}, error="insufficient_scope", scope="{name}""#);
    let scopes = match kind.standing {
        Standing::Login(scopes) | Standing::Key(scopes) | Standing::App(scopes) => scopes,
        _ => "",
    };
    let is_held = scopes.split(' ').any(|held| held == name);
    (!is_held).then_some((403, Some(refusal)))
}
