// Generated from the OpenAPI document by scripts/js-types.py: do not edit.

export interface Schemas {
  /** The confirmation that the account may be deleted. */
  AccountDeletion: {
    current_password: string;
  };
  /** A user as shown to administrators. */
  AdminUser: {
    id: number;
    name: string;
    surname: string;
    email: string;
    website: string;
    /** What the user may do, separated by spaces. */
    scopes: string;
    created_at: string;
    /** When the user was disabled; null for a user who is enabled. */
    disabled_at?: string | null;
    /** The id in the system that the user was imported from, if it was not an integer. */
    external_id?: string | null;
  };
  /** A new user, created by an administrator. */
  AdminUserCreate: {
    name: string;
    surname: string;
    email: string;
    website: string;
    /** At least 8 characters and at most 72 bytes, and not a common one. */
    password: string;
    /** What the user may do, separated by spaces. */
    scopes?: string;
  };
  /** A page of users. */
  AdminUserList: {
    users: Array<Schemas["AdminUser"]>;
    /** The link to the next page; null on the last page. */
    next?: string | null;
  };
  /** What an administrator wants to change; missing fields stay unchanged. */
  AdminUserUpdate: {
    name?: string;
    surname?: string;
    website?: string;
    /** Whether the user is disabled. */
    disabled?: boolean;
    /** Everything that the user may do, separated by spaces. Requires `If-Match`. */
    scopes?: string;
    /** Scopes to grant in addition, separated by spaces. */
    scopes_add?: string;
    /** Scopes to revoke, separated by spaces. */
    scopes_remove?: string;
  };
  /** The password form of OAuth2 (RFC 6749 section 4.3.2), or its refresh form (section 6). */
  Body_create_token_token_post: {
    /** Defaults to `password` when it is missing or empty. */
    grant_type?: string;
    /** The e-mail address, in any spelling; required for `password`. */
    username: string;
    /** Required for `password`. */
    password: string;
    /** Required for `refresh_token`. */
    refresh_token?: string;
    /** What the 403 `mfa_required` or `mfa_enrollment_required` has returned; required for the grants of second
     * factors. */
    mfa_token?: string;
    /** The code of the authenticator app, for `…:mfa-otp`, or together with the password. */
    otp?: string;
    /** For `…:mfa-recovery-code`. */
    recovery_code?: string;
    /** Whether this device is trusted from now on, so that its next sign-ins need no code; for the grants with
     * a code. */
    remember_device?: boolean;
    /** What a trusted device got, together with the password, in place of a code. */
    device_token?: string;
    /** What the options for a passkey have returned; required for `…:mfa-webauthn` and `…:passkey`. */
    challenge_id?: string;
    /** What `navigator.credentials.get` has returned, as JSON; required for the same. */
    credential?: string;
    /** The scopes of the token, separated by spaces; all of the user's when empty, and of the session's
     * for `refresh_token`. A scope that the user does not hold is refused. With `offline_access`, the
     * answer has a refresh token, and the access token is short-lived. */
    scope?: string;
    /** Accepted for clients that send it, and ignored. */
    client_id?: string;
    /** Accepted for clients that send it, and ignored. */
    client_secret?: string;
    /** An id that the device has chosen: a sign-in with the same one replaces its session. */
    device_id?: string;
    /** How the user recognises the device, shortened to 100 characters. */
    device_name?: string;
  };
  /** A credential, and a hint at its type. */
  CredentialRequest: {
    /** A login token or an API key. */
    token: string;
    /** Accepted for clients that send it, and ignored. */
    token_type_hint?: string;
  };
  /** All trusted devices of a user. */
  DeviceList: {
    devices: Array<Schemas["TrustedDevice"]>;
  };
  /** Another address. */
  EmailUpdate: {
    email: string;
    /** The current password; not needed within 15 minutes of the sign-in. */
    password?: string;
  };
  /** The token of the link, or the address and the code. */
  EmailVerification: {
    /** From the link. */
    token?: string;
    /** With `code`, in place of `token`. */
    email?: string;
    /** Eight characters, in any case; `O` counts as `0`, `I` and `L` as `1`. */
    code?: string;
  };
  /** An error in one sentence. */
  ErrorBody: {
    detail: string;
  };
  /** A page of events. */
  EventList: {
    /** Newest first. */
    events: Array<Schemas["EventRead"]>;
    /** The link to the next page; null on the last page. */
    next?: string | null;
  };
  /** An event of the audit trail. */
  EventRead: {
    id: number;
    at: string;
    /** Who: `user:12`, `operator:1000`, `static-key`, `service` or `anonymous`. For root by way of
     * sudo `operator:0/1000`, and `@` with the terminal where there is one; users see `operator` for
     * an operator who acted on them. */
    actor: string;
    /** By which credential: `password`, `login`, `browser`, `key:3`, `shell`, or nothing. */
    credential: string;
    /** The scope or right that allowed it. */
    level: string;
    action: string;
    /** On which user or key: `user:12`, `key:3`, or nothing. */
    target: string;
    /** `ok` or `refused`. */
    result: string;
    ip: string;
    user_agent: string;
    /** The id that the service gave to the request, as in its log. */
    request_id: string;
    /** The id that the client gave to the request in `X-Request-Id`, or nothing. */
    client_request_id: string;
    /** Details of the action. */
    detail: unknown;
  };
  /** A second factor. */
  Factor: {
    id: number;
    /** `totp`: an authenticator app; `webauthn`: a passkey. */
    kind: string;
    name: string;
    created_at: string;
    /** Null for one that was never used. */
    last_used_at?: string | null;
    /** Whether a passkey is backed up, as its authenticator said last; missing for others. */
    backed_up?: boolean;
  };
  /** The code of a new authenticator app, or a new passkey. */
  FactorConfirm: {
    /** The code that the app shows: a text, which may begin with zeros. Required for an app. */
    otp?: string;
    /** What `navigator.credentials.create` has returned, by its `toJSON()`. Required for a passkey. */
    credential?: Record<string, unknown>;
    /** Whether the other sessions end. */
    end_other_sessions?: boolean;
  };
  /** A factor that counts from now on. */
  FactorConfirmed: {
    id: number;
    /** Ten codes for a user without the app, each for one sign-in; only with the first factor, and shown only
     * once. */
    recovery_codes?: Array<string>;
  };
  /** A new authenticator app or passkey. */
  FactorCreate: {
    /** `totp` for an authenticator app, `webauthn` for a passkey. */
    kind: string;
    /** A name for you to recognise it, shortened to 100 characters; by default that of its model. */
    name?: string;
    /** Your password; not required within 15 minutes of a sign-in. */
    current_password?: string;
  };
  /** An authenticator app to confirm, with its seed, or a passkey that the browser makes. */
  FactorCreated: {
    id: number;
    /** The seed in base32, to type it in; shown only once. */
    secret?: string;
    /** The seed for an app on the same device. */
    otpauth_uri?: string;
    /** The same as a picture in SVG, to scan. */
    qr_svg?: string;
    /** For a passkey: what `navigator.credentials.create` takes, with bytes in URL-safe base64
     * (`PublicKeyCredential.parseCreationOptionsFromJSON`). */
    publicKey?: Record<string, unknown>;
    /** For a passkey: how many seconds the browser may take. */
    expires_in?: number;
  };
  /** All second factors of a user. */
  FactorList: {
    factors: Array<Schemas["Factor"]>;
    recovery_codes?: Schemas["RecoveryCodesLeft"] | null;
  };
  /** The password of a user who changes second factors. */
  FactorProof: {
    /** Your password; not required within 15 minutes of a sign-in. */
    current_password?: string;
  };
  /** Who has forgotten the password. */
  ForgottenPassword: {
    email: string;
  };
  /** Every invalid field. */
  HTTPValidationError: {
    detail: Array<Schemas["ValidationError"]>;
  };
  /** The response of a healthy service. */
  Health: {
    /** Always `ok`; any other state has another HTTP status. */
    status: string;
  };
  /** The response of the protected route. */
  Hello: {
    /** Always `FASTAPI`. */
    hello: string;
  };
  /** The state of a credential (RFC 7662 section 2.2). For any invalid one, only `active` is
   * present. */
  Introspection: {
    active: boolean;
    /** Separated by spaces. */
    scope?: string;
    /** The name of the app; not for a user. */
    client_id?: string;
    /** The e-mail address; not for an app. */
    username?: string;
    token_type?: string;
    /** Seconds since 1970; not for an app's key without an end. */
    exp?: number;
    /** Seconds since 1970. */
    iat?: number;
    /** The id of the user or app; negative for an app. */
    sub?: string;
    name?: string;
    /** The id in the system that the user was imported from, if it was not an integer. */
    external_id?: string;
    /** Whether the user has shown to read the mail of the address; only with `TOKENHOUSE_VERIFICATION`. */
    email_verified?: boolean;
    /** The id of the session; not for an API key. */
    sid?: string;
    /** When the user entered the password, in seconds since 1970 (RFC 9470 section 6.2). */
    auth_time?: number;
    /** `mfa` if the user has shown a second factor (RFC 9470 section 6.2). */
    acr?: string;
    /** How the user signed in (RFC 8176). */
    amr?: Array<string>;
  };
  /** An invitation, as administrators see it. */
  Invitation: {
    id: number;
    email: string;
    name: string;
    scopes: string;
    /** `pending`, `expired`, `accepted` or `revoked`. */
    state: string;
    /** The id of the administrator; null for an operator. */
    invited_by?: number | null;
    created_at: string;
    expires_at: string;
    accepted_at?: string | null;
    /** The link, only in the answer to a request with `deliver: false`. */
    url?: string;
  };
  /** The account that an invitation offers. */
  InvitationAcceptance: {
    /** From the link. */
    token: string;
    /** That of the invitation if it is missing. */
    name?: string;
    surname: string;
    password: string;
  };
  /** An invitation to make. */
  InvitationCreate: {
    email: string;
    /** The name of the user, unless they choose another one. */
    name?: string;
    /** What the user may do, separated by spaces. */
    scopes?: string;
    /** For how many seconds the invitation can be accepted. */
    expires_in?: number;
    /** `true`, the default, sends a mail; `false` returns the link, to be passed on. */
    deliver?: boolean;
  };
  /** A page of invitations. */
  InvitationList: {
    invitations: Array<Schemas["Invitation"]>;
    /** The path and query of the next page; null after the last one. */
    next?: string | null;
  };
  /** An invitation, as its reader sees it. */
  InvitationShown: {
    email: string;
    /** May be empty. */
    name: string;
    expires_at: string;
  };
  /** `true`, `false` or a list of ids. */
  KeepKeys: boolean | Array<number>;
  /** A new API key. */
  KeyCreate: {
    /** A name for you to recognise the key. */
    name: string;
    /** What the key allows, separated by spaces: no more than you hold, and nothing when it is missing. */
    scopes?: string;
    /** The lifetime in days. */
    expires_in_days?: number;
    /** Your password; not required within 15 minutes of a sign-in. */
    current_password?: string;
  };
  /** A new API key, with the key itself. */
  KeyCreated: Schemas["KeyRead"] & {
    /** 53 characters; shown only once. */
    key: string;
  };
  /** All keys of a user. */
  KeyList: {
    keys: Array<Schemas["KeyRead"]>;
  };
  /** An API key, without the key itself. */
  KeyRead: {
    id: number;
    name: string;
    /** The first characters of the key. */
    hint: string;
    /** What it allows, separated by spaces. */
    scopes: string;
    created_at: string;
    expires_at: string;
    /** Up to a minute old; null for a key that was never used. */
    last_used_at?: string | null;
  };
  /** A step of the path to the offending value. */
  Location: string | number;
  /** A mail of the outbox. */
  Mail: {
    id: number;
    /** Which template it has. */
    purpose: string;
    /** The user whom it concerns. */
    user_id?: number | null;
    to: string;
    /** `waiting`, `sent` or `failed`. */
    state: string;
    /** The tries so far. */
    attempts: number;
    queued_at: string;
    /** When the next try is due; null unless it waits. */
    next_at?: string | null;
    sent_at?: string | null;
    failed_at?: string | null;
    /** The last words of the mail server. */
    last_reply: string;
    /** The header `Message-ID`, without angle brackets. */
    message_id: string;
  };
  /** A page of mails. */
  MailList: {
    mails: Array<Schemas["Mail"]>;
    /** The path and query of the next page; null after the last one. */
    next?: string | null;
  };
  /** The token of a link. */
  MailToken: {
    token: string;
  };
  /** The metadata of the authorization server. */
  Metadata: {
    issuer: string;
    token_endpoint: string;
    revocation_endpoint: string;
    introspection_endpoint: string;
    grant_types_supported: Array<string>;
    /** Empty: there is no authorization endpoint. */
    response_types_supported: Array<string>;
    token_endpoint_auth_methods_supported: Array<string>;
    revocation_endpoint_auth_methods_supported: Array<string>;
    /** Includes `Bearer`, a type of access token, as RFC 8414 section 2 allows. */
    introspection_endpoint_auth_methods_supported: Array<string>;
    scopes_supported: Array<string>;
  };
  /** The password is right, and a second factor is missing (as Auth0 answers it), or has to be added first. */
  MfaRequired: {
    detail: string;
    /** `mfa_required` or `mfa_enrollment_required`. */
    error: string;
    error_description: string;
    /** 47 characters, to send back with a code; or with which to add a factor. */
    mfa_token: string;
    /** Seconds. */
    expires_in: number;
    /** What it takes: `totp`, `webauthn`, `recovery_code`; or the kinds of factors that may be added. */
    methods: Array<string>;
  };
  /** Another name for a session or second factor. */
  NameUpdate: {
    /** Shortened to 100 characters. */
    name: string;
  };
  /** An error with its OAuth2 code (RFC 6749 section 5.2). */
  OAuthError: {
    detail: string;
    error: string;
    error_description: string;
  };
  /** Invalid fields at `/token`, in the formats of FastAPI and OAuth2. */
  OAuthValidationError: {
    detail: Array<Schemas["ValidationError"]>;
    error: string;
    error_description: string;
  };
  /** The response of the page. */
  Page: {
    /** Always 1. */
    page: number;
  };
  /** What a browser is asked to sign. */
  PasskeyOptions: {
    /** 43 characters, to send back with the signature. */
    challenge_id: string;
    /** What `navigator.credentials.get` takes, with bytes in URL-safe base64
     * (`PublicKeyCredential.parseRequestOptionsFromJSON`). */
    publicKey: Record<string, unknown>;
    /** Seconds. */
    expires_in: number;
  };
  /** A new password: with the token of the link, or with the address and the code. */
  PasswordReset: {
    /** From the link. */
    token?: string;
    /** With `code`, in place of `token`. */
    email?: string;
    /** Eight characters, in any case; `O` counts as `0`, `I` and `L` as `1`. */
    code?: string;
    password: string;
    /** Whether the API keys end too; they do by default. */
    end_keys?: boolean;
  };
  /** A change of the password. */
  PasswordUpdate: {
    current_password: string;
    new_password: string;
    /** The API keys that stay: `true` for all, or their ids. The others end with the old password. */
    keep_keys?: Schemas["KeepKeys"];
  };
  /** A change that waits for its confirmation. */
  PendingEmail: {
    pending_email: string;
    /** How long the link in the mail is good, in seconds. */
    expires_in: number;
  };
  /** What a user wants to change; missing fields stay unchanged. */
  ProfileUpdate: {
    name?: string;
    surname?: string;
    website?: string;
  };
  /** What the user shows: the password, a code or a passkey, or the password and one of the others. */
  Reauthenticate: {
    password?: string;
    /** The code of an authenticator app. */
    otp?: string;
    /** In place of `otp`. */
    recovery_code?: string;
    /** In place of `otp`: what `/users/me/reauthenticate/options` has returned; with `credential`. */
    challenge_id?: string;
    /** What `navigator.credentials.get` has returned, by its `toJSON()`. */
    credential?: Record<string, unknown>;
  };
  /** New recovery codes. */
  RecoveryCodesCreated: {
    /** Ten codes, each for one sign-in; shown only once. */
    recovery_codes: Array<string>;
  };
  /** How many recovery codes are left. */
  RecoveryCodesLeft: {
    left: number;
    made_at: string;
  };
  /** On which origins the passkeys of this service work. */
  RelatedOrigins: {
    origins: Array<string>;
  };
  /** A link to pass on. */
  ResetLink: {
    /** Good once, and in place of the link in any mail before. */
    url: string;
    expires_at: string;
  };
  /** How a link reaches a user. */
  ResetLinkRequest: {
    /** `true`, the default, sends a mail; `false` returns the link, to be passed on. */
    deliver?: boolean;
  };
  /** A sign-in that waits for its second factor. */
  SecondFactorOptions: {
    /** What the 403 `mfa_required` has returned. */
    mfa_token: string;
  };
  /** A session. */
  Session: {
    id: number;
    name: string;
    /** `api`, `browser`, or `issued` by an operator or an import. */
    kind: string;
    /** What it allows, separated by spaces. */
    scopes: string;
    created_at: string;
    /** Up to a minute old. */
    last_used_at: string;
    expires_at: string;
    /** The address of the last use; empty if it is unknown. */
    ip: string;
    /** What the client called itself at the sign-in, shortened. */
    user_agent: string;
    /** How the user signed in (RFC 8176), separated by spaces; empty for `issued`. */
    amr: string;
    /** Whether the request belongs to this session. */
    current: boolean;
  };
  /** All sessions of a user. */
  SessionList: {
    sessions: Array<Schemas["Session"]>;
  };
  /** An invalid form at `/token`. */
  TokenRefusal: {
    /** A sentence; with `TOKENHOUSE_OAUTH_STRICT_STATUS`, the detail of the 401 or 422. */
    detail: unknown;
    error?: string;
    error_description?: string;
  };
  /** A successful sign-in (RFC 6749 section 5.1). */
  TokenResponse: {
    /** 43 characters; shown only once. */
    access_token: string;
    /** Always `bearer`. */
    token_type: string;
    /** Seconds. */
    expires_in: number;
    /** What the token allows, separated by spaces. */
    scope: string;
    /** The id of the session; only if a user may have several. */
    session_id?: number;
    /** 84 characters; only for a session with refresh tokens. */
    refresh_token?: string;
    /** Until the session ends, in seconds. */
    refresh_expires_in?: number;
    /** 47 characters, to send with the password in place of a code; only with `remember_device`, and shown only
     * once. */
    device_token?: string;
    /** Until the device is trusted no longer, in seconds. */
    device_expires_in?: number;
  };
  /** A device on which sign-ins need no code. */
  TrustedDevice: {
    id: number;
    name: string;
    created_at: string;
    /** The last sign-in without a code; null if there was none. */
    last_used_at?: string | null;
    expires_at: string;
  };
  /** A user as shown to themselves; no other column is ever shown. */
  User: {
    /** Never reused for another user. */
    id: number;
    name: string;
    surname: string;
    /** The address, with its domain in lower case. */
    email: string;
    website: string;
    /** The id in the system that the user was imported from, if it was not an integer. */
    external_id?: string;
    /** Whether the user has shown to read the mail of the address; only with `TOKENHOUSE_VERIFICATION`. */
    email_verified?: boolean;
  };
  /** A registration. */
  UserCreate: {
    name: string;
    surname: string;
    /** An address that pydantic's `EmailStr` accepts. All spellings of an address are one account. */
    email: string;
    website: string;
    /** At least 8 characters and at most 72 bytes, and not a common one. */
    password: string;
  };
  /** What is wrong with one field, as pydantic words it. */
  ValidationError: {
    /** The location: `body`, then the field or, in malformed JSON, the position of the character. */
    loc: Array<Schemas["Location"]>;
    msg: string;
    type: string;
    /** The offending value; null where it may be a secret. */
    input: unknown;
    /** The numbers and texts of `msg`, by name. */
    ctx?: unknown;
  };
  /** Whose address is to be verified: that of the caller, or another one. */
  VerificationRequest: {
    /** Without it, the address of the caller. */
    email?: string;
  };
}

export interface Routes {
  /** 404 unless the service knows its own URL: from `TOKENHOUSE_PUBLIC_URL`, or because the client runs on
   * the same machine and calls it directly. */
  "GET /.well-known/oauth-authorization-server": {
    input: {};
    response: Schemas["Metadata"];
  };
  /** For browsers (section 5.11 of `WebAuthn`). 404 without `TOKENHOUSE_PASSKEY_ORIGINS`. */
  "GET /.well-known/webauthn": {
    input: {};
    response: Schemas["RelatedOrigins"];
  };
  /** The events of all users, newest first. */
  "GET /admin/events": {
    input: { query?: {
      actor?: string;
      target?: string;
      action?: string;
      since?: string;
      until?: string;
      before?: number;
      limit?: number;
    } };
    response: Schemas["EventList"];
  };
  /** The last ones first. */
  "GET /admin/invitations": {
    input: { query?: {
      state?: string;
      before?: number;
      limit?: number;
    } };
    response: Schemas["InvitationList"];
  };
  /** Even when registration is closed. Administrators can grant the scopes that they hold and those that the
   * settings list. API keys cannot invite. */
  "POST /admin/invitations": {
    input: { body: Schemas["InvitationCreate"] };
    response: Schemas["Invitation"];
  };
  /** Revoke an invitation */
  "DELETE /admin/invitations/{id}": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** With another link; the one before ends. It can be accepted for as long as the settings say, from now on. */
  "POST /admin/invitations/{id}/resend": {
    input: { path: {
      id: number;
    } };
    response: unknown;
  };
  /** The last ones first. Sent and failed mails are listed for 30 days. No mail is stored: only to whom it
   * went, and what the mail server said. */
  "GET /admin/mail": {
    input: { query?: {
      state?: string;
      before?: number;
      limit?: number;
    } };
    response: Schemas["MailList"];
  };
  /** Delete a failed mail */
  "DELETE /admin/mail/{id}": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** Send a failed mail again */
  "POST /admin/mail/{id}/retry": {
    input: { path: {
      id: number;
    } };
    response: unknown;
  };
  /** Ordered by id; with `search`, those whose address, name or surname contains it. A page of a search
   * can be shorter than `limit`, even empty, and have a next one. */
  "GET /admin/users": {
    input: { query?: {
      search?: string;
      after?: string;
      limit?: number;
    } };
    response: Schemas["AdminUserList"];
  };
  /** Even when registration is closed. Administrators can grant the scopes that they hold and those
   * that the settings list. API keys cannot create users. */
  "POST /admin/users": {
    input: { body: Schemas["AdminUserCreate"] };
    response: Schemas["AdminUser"];
  };
  /** Show a user */
  "GET /admin/users/{id}": {
    input: { path: {
      id: number;
    } };
    response: Schemas["AdminUser"];
  };
  /** Deletes all their tokens and keys as well. The audit trail stays unchanged. API keys cannot delete
   * users. */
  "DELETE /admin/users/{id}": {
    input: { path: {
      id: number;
    }; headers?: {
      "If-Match"?: string | null;
    } };
    response: undefined;
  };
  /** Disables or enables the user, grants or revokes scopes, corrects names. The change is effective
   * everywhere once this responds. Disabling ends the login token and all API keys permanently.
   *
   * `scopes_add` and `scopes_remove` change the scopes that the user holds at that moment. `scopes`
   * replaces all of them and requires `If-Match`: 428 without it, 412 when the user was changed since.
   * Other fields accept `If-Match` as well. API keys can only change `disabled`. A caller cannot change
   * a user who holds a scope of this service that the caller does not hold. */
  "PATCH /admin/users/{id}": {
    input: { path: {
      id: number;
    }; headers?: {
      "If-Match"?: string | null;
    }; body: Schemas["AdminUserUpdate"] };
    response: Schemas["AdminUser"];
  };
  /** For a user who has lost them: removes all factors and recovery codes, and ends all sessions of the user. */
  "DELETE /admin/users/{id}/factors": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** Ends all sessions of the user. */
  "DELETE /admin/users/{id}/factors/{factor}": {
    input: { path: {
      id: number;
      factor: number;
    } };
    response: undefined;
  };
  /** The administrator never learns the password. API keys cannot do this. */
  "POST /admin/users/{id}/reset": {
    input: { path: {
      id: number;
    }; body: Schemas["ResetLinkRequest"] };
    response: Schemas["ResetLink"] | unknown;
  };
  /** List the sessions of a user */
  "GET /admin/users/{id}/sessions": {
    input: { path: {
      id: number;
    } };
    response: Schemas["SessionList"];
  };
  /** API keys stay. */
  "DELETE /admin/users/{id}/sessions": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** End a session of a user */
  "DELETE /admin/users/{id}/sessions/{session}": {
    input: { path: {
      id: number;
      session: number;
    } };
    response: undefined;
  };
  /** Ends the login token and all keys. */
  "DELETE /admin/users/{id}/tokens": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** For a user whose account refuses the correct password because of failed sign-ins before. */
  "POST /admin/users/{id}/unlock": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** The old box gets a mail with a link that leads back within seven days. */
  "POST /change-email": {
    input: { body: Schemas["MailToken"] };
    response: Schemas["User"];
  };
  /** With the token of the mail to the old box, within seven days. Ends all sessions and API keys, and mails a link to reset the password. */
  "POST /change-email/undo": {
    input: { body: Schemas["MailToken"] };
    response: Schemas["User"];
  };
  /** The answer is the same whether or not a user has the address. The mail has a link to a page and a code
   * that can be typed instead. An address gets one mail a minute, and five an hour. */
  "POST /forgot-password": {
    input: { body: Schemas["ForgottenPassword"] };
    response: unknown;
  };
  /** Restart it when this does not respond. */
  "GET /health/live": {
    input: {};
    response: Schemas["Health"];
  };
  /** It can while the database responds and has the tables, and the service is not shutting down.
   * Send requests elsewhere while this is 503. */
  "GET /health/ready": {
    input: {};
    response: Schemas["Health"];
  };
  /** For apps that received one. They authenticate with a credential that has the scope `introspect`,
   * or with the static key as `Bearer` or as the password of HTTP Basic. */
  "POST /introspect": {
    input: { form: Schemas["CredentialRequest"] };
    response: Schemas["Introspection"];
  };
  /** The address of the new user is verified. Does not sign in. */
  "POST /invitations/accept": {
    input: { body: Schemas["InvitationAcceptance"] };
    response: Schemas["User"];
  };
  /** Spends nothing. */
  "GET /invitations/{token}": {
    input: { path: {
      token: string;
    } };
    response: Schemas["InvitationShown"];
  };
  /** Ends the session, or with `all=true` all sessions of the user. The tokens are rejected everywhere
   * once this responds. API keys stay. */
  "POST /logout": {
    input: { query?: {
      all?: boolean;
    } };
    response: undefined;
  };
  /** In the text format of Prometheus, for clients with the static key: in the header `Token`, in
   * `Authorization` as `Bearer` or `Token`, or as the password of HTTP Basic with any name. With a
   * separate listener in the settings, that listener requires no key. */
  "GET /metrics": {
    input: {};
    response: undefined;
  };
  /** The browser signs what this returns, and the signature goes to `/token` with the grant
   * `urn:tokenhouse:grant-type:mfa-webauthn`. It counts once. */
  "POST /mfa/webauthn/options": {
    input: { body: Schemas["SecondFactorOptions"] };
    response: Schemas["PasskeyOptions"];
  };
  /** For clients with the static key. */
  "GET /page": {
    input: {};
    response: Schemas["Page"];
  };
  /** The browser signs what this returns, and the signature goes to `/token` with the grant
   * `urn:tokenhouse:grant-type:passkey`. It counts once. */
  "POST /passkeys/options": {
    input: { body: Record<string, unknown> };
    response: Schemas["PasskeyOptions"];
  };
  /** For clients with the static key. */
  "GET /protected": {
    input: {};
    response: Schemas["Hello"];
  };
  /** Creates a user, who can sign in immediately. */
  "POST /register": {
    input: { body: Schemas["UserCreate"] };
    response: Schemas["User"] | unknown;
  };
  /** Ends all sessions and, unless `end_keys` is false, all API keys. Does not sign in. A link is good once; a
   * password that is refused with 422 leaves it good. */
  "POST /reset-password": {
    input: { body: Schemas["PasswordReset"] };
    response: unknown;
  };
  /** Ends the login token or API key for any client that has it; with a credential in the header, only
   * one of the same user. The response is the same when there was nothing to end. */
  "POST /revoke": {
    input: { form: Schemas["CredentialRequest"] };
    response: undefined;
  };
  /** Begins a session with a new access token for the OAuth2 password form. It replaces the session of
   * the same `device_id`; beyond the number of sessions that the settings allow, which may be one, the
   * session that was unused longest ends. */
  "POST /token": {
    input: { form: Schemas["Body_create_token_token_post"] };
    response: Schemas["TokenResponse"];
  };
  /** Returns the user whose token is sent. */
  "GET /users/me": {
    input: {};
    response: Schemas["User"];
  };
  /** Deletes all its tokens and keys as well. The audit trail stays unchanged. */
  "DELETE /users/me": {
    input: { body: Schemas["AccountDeletion"] };
    response: undefined;
  };
  /** Change my name, surname or website */
  "PATCH /users/me": {
    input: { body: Schemas["ProfileUpdate"] };
    response: Schemas["User"];
  };
  /** The newest first. */
  "GET /users/me/devices": {
    input: {};
    response: Schemas["DeviceList"];
  };
  /** Forget all trusted devices */
  "DELETE /users/me/devices": {
    input: {};
    response: undefined;
  };
  /** The next sign-in there asks for a code. Sessions stay. */
  "DELETE /users/me/devices/{id}": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** Needs the password, or a sign-in within the last 15 minutes. A mail with a link goes to the new address; the old one stays until the link is used. Another spelling of
   * the same address takes effect at once: then the answer is 200 with the user. */
  "POST /users/me/email": {
    input: { body: Schemas["EmailUpdate"] };
    response: Schemas["PendingEmail"] | Schemas["User"];
  };
  /** Withdraw a change of my address */
  "DELETE /users/me/email": {
    input: {};
    response: undefined;
  };
  /** The events by you and on your account, newest first. Not for API keys without scopes. */
  "GET /users/me/events": {
    input: { query?: {
      before?: number;
      limit?: number;
    } };
    response: Schemas["EventList"];
  };
  /** Those that were confirmed, oldest first. */
  "GET /users/me/factors": {
    input: {};
    response: Schemas["FactorList"];
  };
  /** It counts once it is confirmed, within 10 minutes. Requires the password, or a sign-in with it in the
   * last 15 minutes; and for a user who has a second factor, a sign-in with it. The `mfa_token` of a 403
   * `mfa_enrollment_required` is accepted in place of a login token. */
  "POST /users/me/factors": {
    input: { body: Schemas["FactorCreate"] };
    response: Schemas["FactorCreated"];
  };
  /** With the last one, the recovery codes end. Requires the same as adding one. */
  "DELETE /users/me/factors/{id}": {
    input: { path: {
      id: number;
    }; body: Schemas["FactorProof"] };
    response: undefined;
  };
  /** Rename a second factor */
  "PATCH /users/me/factors/{id}": {
    input: { path: {
      id: number;
    }; body: Schemas["NameUpdate"] };
    response: Schemas["Factor"];
  };
  /** From now on a sign-in asks for it. The code does not count again, and a passkey that is refused must be
   * begun again. A sign-in that waits for the factor is finished at `/token`, with the grant
   * `urn:tokenhouse:grant-type:mfa-enrollment`. */
  "POST /users/me/factors/{id}/confirm": {
    input: { path: {
      id: number;
    }; body: Schemas["FactorConfirm"] };
    response: Schemas["FactorConfirmed"];
  };
  /** All keys that are not revoked, oldest first. */
  "GET /users/me/keys": {
    input: {};
    response: Schemas["KeyList"];
  };
  /** The key is shown in this response only. Requires the password, or a sign-in with it in the last 15
   * minutes. */
  "POST /users/me/keys": {
    input: { body: Schemas["KeyCreate"] };
    response: Schemas["KeyCreated"];
  };
  /** The key is rejected everywhere once this responds. */
  "DELETE /users/me/keys/{id}": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** Ends every other session, and every API key that is not listed in `keep_keys`. */
  "POST /users/me/password": {
    input: { body: Schemas["PasswordUpdate"] };
    response: undefined;
  };
  /** For a change that requires a recent sign-in, and to answer the challenge
   * `insufficient_user_authentication` (RFC 9470). The session goes on with a new access token, whose time of
   * authentication is now; with a code or a passkey, it counts as one with a second factor. The presented token ends. A refresh
   * token stays. */
  "POST /users/me/reauthenticate": {
    input: { body: Schemas["Reauthenticate"] };
    response: Schemas["TokenResponse"];
  };
  /** The browser signs what this returns, and the signature goes to `/users/me/reauthenticate`. It counts once, for
   * the session of the token. */
  "POST /users/me/reauthenticate/options": {
    input: { body: Record<string, unknown> };
    response: Schemas["PasskeyOptions"];
  };
  /** Those from before count no more. Requires the same as adding a factor. */
  "POST /users/me/recovery-codes": {
    input: { body: Schemas["FactorProof"] };
    response: Schemas["RecoveryCodesCreated"];
  };
  /** Each sign-in is one. The one used last comes first. */
  "GET /users/me/sessions": {
    input: {};
    response: Schemas["SessionList"];
  };
  /** All of them, or with `keep=current` all but this one. API keys stay. */
  "DELETE /users/me/sessions": {
    input: { query?: {
      keep?: string;
    } };
    response: undefined;
  };
  /** Its tokens are rejected everywhere once this responds. */
  "DELETE /users/me/sessions/{id}": {
    input: { path: {
      id: number;
    } };
    response: undefined;
  };
  /** Rename a session */
  "PATCH /users/me/sessions/{id}": {
    input: { path: {
      id: number;
    }; body: Schemas["NameUpdate"] };
    response: Schemas["Session"];
  };
  /** For nginx's `auth_request` and similar, with any method. A 200 describes the user in headers, all of
   * which are always present, percent-encoded where they are not printable ASCII. A query parameter
   * other than these, or a `scope` without a name, is refused with 403. An app passes only with a scope, has
   * no address, and has the method `app`.
   *
   * With `acr=mfa` or `max_age`, an API key or another sign-in than required gets 401 with the challenge
   * `insufficient_user_authentication` (RFC 9470).
   *
   * With `redirect`, the cookie of a browser that has signed in on a page counts too, at the host where it got
   * it. A browser without one, or without the sign-in that `acr` and `max_age` require, that opens a page
   * (`GET`, and `Sec-Fetch-Mode: navigate`, or without that header an `Accept` with `text/html`) is sent to the
   * sign-in page: by 302 (`redirect=true`), or by 401 with `Location` (`redirect=401`, for nginx). Every other
   * refusal is 401 with `X-Tokenhouse-Signin`. The host is that of `X-Original-URL`, or of `X-Forwarded-Proto`
   * and `X-Forwarded-Host`, from a trusted proxy. */
  "GET /verify": {
    input: { query?: {
      scope?: string;
      acr?: string;
      max_age?: number;
      redirect?: string;
    } };
    response: undefined;
  };
  /** The first verification ends all sessions and keys of the user, since they may be of somebody else who has
   * registered the address; unless the request carries a login token of the user. 400 with the error
   * `already_verified` for a link that was used. */
  "POST /verify-email": {
    input: { body: Schemas["EmailVerification"] };
    response: Schemas["User"];
  };
  /** The answer is the same whether or not a user has the address, and whether or not it is verified. */
  "POST /verify-email/request": {
    input: { body: Schemas["VerificationRequest"] };
    response: unknown;
  };
}

export type Route = keyof Routes;

type Needed<T> = { [K in keyof T]-?: {} extends Pick<T, K> ? never : K }[keyof T];

/** The arguments of a route. They may be omitted if none is required. */
export type Input<R extends Route> = [Needed<Routes[R]["input"]>] extends [never]
  ? [input?: Routes[R]["input"]]
  : [input: Routes[R]["input"]];

/** The JSON of a successful response. */
export type Response<R extends Route> = Routes[R]["response"];
