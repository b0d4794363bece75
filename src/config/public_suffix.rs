//! Public suffixes, under which anyone can register domains, as browsers see them (<https://publicsuffix.org>).

use public_suffix::DEFAULT_PROVIDER;

use super::sign_in_hosts::is_below;

/// Whether a name, in lower case and Punycode, is a public suffix: of a registry (`co.uk`), of a company whose
/// customers have names below it (`github.io`), or a top-level name, also one that no list knows (`internal`).
pub(super) fn is_public_suffix(name: &str) -> bool {
    public_suffix(name) == name
}

/// Whether browsers let the pages of a host make passkeys for a domain: for the host itself, whatever its name, and
/// for domains above it, but neither for its public suffix nor for what is above that ("is a registrable domain suffix
/// of or is equal to", section 7.1.1.2 of the HTML standard). Chromium, Firefox and Safari all do so.
pub(super) fn can_claim(host: &str, domain: &str) -> bool {
    host == domain || is_below(host, domain) && domain.len() > public_suffix(host).len()
}

fn public_suffix(name: &str) -> &str {
    DEFAULT_PROVIDER.public_suffix(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_registries_and_companies_are_public() {
        for name in [
            "com",
            "co.uk",
            "com.au",
            "github.io",
            "herokuapp.com",
            "duckdns.org",
            "s3.amazonaws.com",
            // By a rule with a wildcard.
            "any.ck",
            // In Punycode: 公司.cn.
            "xn--55qx5d.cn",
            // In no list.
            "internal",
            "lan",
            "localhost",
        ] {
            assert!(is_public_suffix(name), "{name}");
        }
        for name in [
            "example.com",
            "example.co.uk",
            "example.github.io",
            "amazonaws.com",
            // An exception of the wildcard.
            "www.ck",
            "xn--85x722f.xn--55qx5d.cn",
            "corp.internal",
            "auth.corp.internal",
            "host.lan",
        ] {
            assert!(!is_public_suffix(name), "{name}");
        }
    }

    #[test]
    fn pages_claim_their_host_and_what_is_above_it_below_the_suffix() {
        for (host, domain) in [
            ("auth.example.com", "auth.example.com"),
            ("auth.example.com", "example.com"),
            ("a.auth.example.co.uk", "example.co.uk"),
            ("auth.corp.internal", "corp.internal"),
            ("auth.me.github.io", "me.github.io"),
            // A host has its own name, even if others register names below it.
            ("co.uk", "co.uk"),
            ("github.io", "github.io"),
            ("intranet", "intranet"),
            ("localhost", "localhost"),
        ] {
            assert!(can_claim(host, domain), "{host} {domain}");
        }
        for (host, domain) in [
            ("auth.example.com", "com"),
            ("auth.example.co.uk", "co.uk"),
            ("auth.example.co.uk", "uk"),
            ("me.github.io", "github.io"),
            ("bucket.s3.amazonaws.com", "s3.amazonaws.com"),
            // No suffix by itself, but above that of the host.
            ("bucket.s3.amazonaws.com", "amazonaws.com"),
            ("host.lan", "lan"),
            ("auth.corp.internal", "internal"),
            ("example.com", "auth.example.com"),
            ("badexample.com", "example.com"),
            ("other.example", "example.com"),
        ] {
            assert!(!can_claim(host, domain), "{host} {domain}");
        }
    }
}
