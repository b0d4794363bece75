//! The files of the pages, with names that change with their content, so that browsers keep them.

use crate::config::{Logo, PagesConfig};
use crate::credential::token::TokenDigest;

use super::colour;

const STYLE: &str = include_str!("assets/style.css");

/// What only the console needs, so that signing in loads less.
const CONSOLE_STYLE: &str = include_str!("assets/console.css");

/// What passkeys need. No other page has a script.
const PASSKEYS: &str = include_str!("assets/passkeys.js");

/// The logo without one in the settings. It shows on light and dark pages.
const LOGO: &str = include_str!("assets/logo.svg");

/// The path of the files.
const FOLDER: &str = "/assets/";

/// The brand and the files of the pages.
pub(crate) struct Assets {
    /// What the pages call the service.
    pub(crate) brand_name: String,
    style: Asset,
    console_style: Asset,
    passkeys: Asset,
    logo: Asset,
}

/// A file.
pub(crate) struct Asset {
    /// The path, whose last part has a digest of the content in it.
    path: String,
    /// As in the header `Content-Type`.
    pub(crate) media_type: &'static str,
    /// The content.
    pub(crate) bytes: Vec<u8>,
}

impl Assets {
    /// The files in the brand of the settings.
    pub(crate) fn new(config: &PagesConfig) -> Self {
        let style = format!("{}{STYLE}", colour::variables(config.brand_colour));
        let logo = match &config.brand_logo {
            Some(Logo { media_type, bytes }) => (*media_type, bytes.to_vec()),
            None => ("image/svg+xml", LOGO.as_bytes().to_vec()),
        };
        let css = |stem, text: Vec<u8>| Asset::new(stem, "css", "text/css; charset=utf-8", text);
        Self {
            brand_name: config.brand_name.clone(),
            style: css("style", style.into_bytes()),
            console_style: css("console", CONSOLE_STYLE.as_bytes().to_vec()),
            passkeys: Asset::new(
                "passkeys",
                "js",
                "text/javascript; charset=utf-8",
                PASSKEYS.as_bytes().to_vec(),
            ),
            logo: Asset::new("logo", extension(logo.0), logo.0, logo.1),
        }
    }

    /// The file with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Asset> {
        let is_named = |asset: &&Asset| asset.path.strip_prefix(FOLDER) == Some(name);
        let all = [&self.style, &self.console_style, &self.passkeys, &self.logo];
        all.into_iter().find(is_named)
    }

    /// The path of the stylesheet.
    pub(crate) fn style(&self) -> &str {
        &self.style.path
    }

    /// The path of the stylesheet that the console needs in addition.
    pub(crate) fn console_style(&self) -> &str {
        &self.console_style.path
    }

    /// The path of the script of passkeys.
    pub(crate) fn passkeys(&self) -> &str {
        &self.passkeys.path
    }

    /// The path of the logo.
    pub(crate) fn logo(&self) -> &str {
        &self.logo.path
    }
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, bytes: Vec<u8>) -> Self {
        let digest = TokenDigest::new(&bytes).to_hex();
        Self {
            path: format!("{FOLDER}{stem}-{}.{extension}", &digest[..12]),
            media_type,
            bytes,
        }
    }
}

fn extension(media_type: &str) -> &'static str {
    match media_type {
        "image/png" => "png",
        _ => "svg",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stylesheets_are_small_and_load_nothing() {
        for (style, most) in [(STYLE, 15 << 10), (CONSOLE_STYLE, 8 << 10)] {
            assert!(style.len() < most, "{} bytes", style.len());
            for foreign in ["url(", "@import", "http"] {
                assert!(!style.contains(foreign), "{foreign}");
            }
        }
    }
}
