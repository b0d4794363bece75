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
    }
}

diesel::table! {
    // SQLite only: what changed the sessions that a process may remember.
    session_changes (id) {
        id -> BigInt,
        access_token -> Text,
    }
}

diesel::table! {
    // Postgres only: the processes that remember sessions.
    session_leases (id) {
        id -> BigInt,
        fenced -> Bool,
    }
}

diesel::joinable!(access_tokens -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(access_tokens, users);
