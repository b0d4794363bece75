//! Changes of second factors, as notices tell of them.

/// What users are told of their second factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FactorChange {
    /// One counts from now on.
    Added,
    /// One, or all, count no more.
    Removed,
    /// There are new recovery codes.
    NewCodes,
    /// A recovery code was used.
    CodeUsed,
    /// The counter of a passkey has gone back, so a copy of the passkey may exist.
    #[cfg_attr(
        not(feature = "passkeys"),
        expect(dead_code, reason = "only a passkey is copied")
    )]
    MaybeCopied,
}
