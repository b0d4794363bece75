//! What the columns of a source mean, by their names.

use super::rows::Truth;

/// A field of a user that has one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Email,
    Username,
    Name,
    Surname,
    Website,
    Hash,
    CreatedAt,
    /// Only in files.
    Token,
    /// Only in files.
    TokenExpiry,
}

/// The columns of each field; the first one counts.
const FIELDS: &[(Field, &[&str])] = &[
    (Field::Id, &["id"]),
    (Field::Email, &["email"]),
    (Field::Username, &["username"]),
    (Field::Name, &["name", "first_name", "full_name"]),
    (Field::Surname, &["surname", "last_name"]),
    (Field::Website, &["website"]),
    (Field::Hash, &["hashed_password", "password"]),
    (Field::CreatedAt, &["created_at", "date_joined"]),
    (Field::Token, &["access_token"]),
    (Field::TokenExpiry, &["expiration_date"]),
];

/// Columns that say whether the user is active or locked out. All of them count.
const TRUTHS: &[(Truth, &[&str])] = &[
    (
        Truth::Active,
        &["active", "is_active", "enabled", "is_enabled"],
    ),
    (
        Truth::Disabled,
        &[
            "disabled",
            "banned",
            "blocked",
            "locked",
            "suspended",
            "deactivated",
            "inactive",
            "deleted",
            "is_disabled",
            "is_banned",
            "is_blocked",
            "is_locked",
            "is_suspended",
            "is_deactivated",
            "is_inactive",
            "is_deleted",
            "locked_out",
            "is_locked_out",
        ],
    ),
    (
        Truth::DisabledSince,
        &[
            "disabled_at",
            "banned_at",
            "blocked_at",
            "locked_at",
            "suspended_at",
            "deactivated_at",
            "deleted_at",
        ],
    ),
    (
        Truth::DisabledUntil,
        &[
            "banned_until",
            "blocked_until",
            "locked_until",
            "suspended_until",
        ],
    ),
];

/// Where a source has which field.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    fields: Vec<(Field, usize)>,
    /// The columns that say whether the user is active.
    pub(super) truths: Vec<(Truth, usize)>,
    /// The names of all others.
    pub(super) not_read: Vec<String>,
}

impl Columns {
    /// The columns of a file. It has tokens, and a `password` in it may be one, not a hash.
    pub(super) fn of_file(names: Vec<String>) -> Self {
        Self::find(names, &[], |name| name != "password")
    }

    /// The columns of a table. The table of users has no tokens.
    pub(super) fn of_table(names: Vec<String>) -> Self {
        Self::find(names, &[Field::Token, Field::TokenExpiry], |_name| true)
    }

    fn find(names: Vec<String>, without: &[Field], may_read: impl Fn(&str) -> bool) -> Self {
        let known: Vec<String> = names
            .iter()
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let place_of = |name: &&str| {
            let index = known.iter().position(|known| known == name);
            index.filter(|_| may_read(name))
        };
        let fields: Vec<(Field, usize)> = FIELDS
            .iter()
            .filter(|(field, _)| !without.contains(field))
            .filter_map(|(field, names)| Some((*field, names.iter().find_map(place_of)?)))
            .collect();
        let mut truths = Vec::new();
        for (index, name) in known.iter().enumerate() {
            let meaning = TRUTHS
                .iter()
                .find(|(_, names)| names.contains(&name.as_str()));
            truths.extend(meaning.map(|(truth, _)| (*truth, index)));
        }
        let is_read = |index| {
            let fields = fields.iter().map(|(_, index)| *index);
            fields
                .chain(truths.iter().map(|(_, index)| *index))
                .any(|read| read == index)
        };
        let not_read = names
            .iter()
            .enumerate()
            .filter(|(index, _)| !is_read(*index));
        let not_read = not_read.map(|(_, name)| name.clone()).collect();
        Self {
            fields,
            truths,
            not_read,
            names,
        }
    }

    /// The index of a field's column.
    pub(super) fn index(&self, field: Field) -> Option<usize> {
        let found = self.fields.iter().find(|(other, _)| *other == field);
        found.map(|(_, index)| *index)
    }

    /// The name of a field's column.
    pub(super) fn name(&self, field: Field) -> Option<&str> {
        self.names.get(self.index(field)?).map(String::as_str)
    }

    /// All names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_are_found_by_name_and_others_listed() {
        let names = columns(&[
            "ID",
            " Email",
            "first_name",
            "name",
            "Is_Active",
            "shoe",
            "Banned",
        ]);
        let found = Columns::of_table(names);
        assert_eq!(found.index(Field::Id), Some(0));
        assert_eq!(found.name(Field::Email), Some(" Email"));
        assert_eq!(found.name(Field::Name), Some("name"));
        assert_eq!(found.truths, [(Truth::Active, 4), (Truth::Disabled, 6)]);
        assert_eq!(found.not_read, ["first_name", "shoe"]);
    }

    #[test]
    fn password_of_file_is_not_taken_for_hash() {
        let names = columns(&["email", "password", "access_token"]);
        assert_eq!(Columns::of_file(names.clone()).name(Field::Hash), None);
        assert_eq!(
            Columns::of_table(names.clone()).name(Field::Hash),
            Some("password")
        );
        assert_eq!(Columns::of_table(names).not_read, ["access_token"]);
    }
}
