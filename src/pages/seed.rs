//! The seed of an authenticator app that its user has to scan.

/// How many characters of a key stand together, so that it can be typed.
const KEY_GROUP: usize = 4;

/// A seed in every form that a user may need.
pub(crate) struct SeedView {
    /// In base32.
    pub(crate) secret: String,
    /// For an app on the device that shows the page.
    pub(crate) uri: String,
    /// The picture to scan.
    pub(crate) qr_svg: String,
}

impl SeedView {
    /// A seed in base32, the URI of it, and the picture.
    pub(crate) fn new(secret: &str, uri: &str, qr_svg: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            uri: uri.to_owned(),
            qr_svg: qr_svg.to_owned(),
        }
    }

    /// The seed in groups, to type it.
    pub(super) fn groups(&self) -> Vec<&str> {
        let mut rest = self.secret.as_str();
        let mut groups = Vec::new();
        while let Some((group, after)) = rest.split_at_checked(KEY_GROUP) {
            groups.push(group);
            rest = after;
        }
        groups.extend(Some(rest).filter(|rest| !rest.is_empty()));
        groups
    }
}
