//! The tables as diesel sees them, on either database.
//!
//! As `diesel print-schema` gives it, with ids widened to 64 bits: SQLite's integers are that wide
//! whatever they are called.

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        surname -> Text,
        email -> Text,
        email_key -> Text,
        website -> Text,
        hashed_password -> Text,
        scopes -> Text,
        created_at -> Timestamp,
        disabled_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    access_tokens (user_id) {
        user_id -> BigInt,
        access_token -> Text,
        expiration_date -> Timestamp,
        scopes -> Text,
        created_at -> Timestamp,
        authenticated_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    administrators_lock (id) {
        id -> BigInt,
    }
}

diesel::table! {
    api_keys (id) {
        id -> BigInt,
        user_id -> BigInt,
        name -> Text,
        hint -> Text,
        key_digest -> Text,
        scopes -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        last_used_at -> Nullable<Timestamp>,
        revoked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    audit_events (id) {
        id -> BigInt,
        at -> Timestamp,
        actor -> Text,
        credential -> Text,
        level -> Text,
        action -> Text,
        target -> Text,
        result -> Text,
        ip -> Text,
        user_agent -> Text,
        request_id -> Text,
        detail -> Text,
        previous_digest -> Text,
        digest -> Text,
        client_request_id -> Text,
    }
}

diesel::table! {
    audit_head (id) {
        id -> BigInt,
        last_id -> BigInt,
        last_digest -> Text,
        pruned_id -> BigInt,
        pruned_digest -> Text,
        digest -> Text,
        adopted_id -> BigInt,
        adopted_start -> Text,
        adopted_digest -> Text,
    }
}

diesel::table! {
    login_failures (subject) {
        subject -> Text,
        account -> Nullable<Text>,
        failures -> BigInt,
        next_at -> Nullable<Timestamp>,
        expires_at -> Timestamp,
        alerts -> BigInt,
        under_way -> BigInt,
        under_way_until -> Nullable<Timestamp>,
        signed_in_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    instance_secrets (name) {
        name -> Text,
        secret -> Text,
    }
}

diesel::table! {
    deleted_users (address_digest) {
        address_digest -> Text,
        deleted_at -> Timestamp,
    }
}

diesel::table! {
    spent_tokens (access_token) {
        access_token -> Text,
        expiration_date -> Nullable<Timestamp>,
    }
}

diesel::table! {
    clock_mark (id) {
        id -> BigInt,
        at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    // SQLite only: what changed the sessions that a process may remember.
    session_changes (id) {
        id -> BigInt,
        access_token -> Text,
        stamp -> BigInt,
    }
}

diesel::table! {
    // Postgres only: the processes that remember sessions.
    session_leases (lease) {
        lease -> BigInt,
        fenced -> Bool,
    }
}

diesel::table! {
    // Postgres only: the changes for which those processes pause.
    session_calls (call) {
        call -> BigInt,
    }
}

diesel::joinable!(access_tokens -> users (user_id));
diesel::joinable!(api_keys -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(access_tokens, api_keys, users);
