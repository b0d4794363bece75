//! The settings of the pages for browsers.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::values::Values;
use super::{Colour, ConfigError, EffectiveSetting, GuardedHosts};
use crate::private_file::reason;

/// The largest logo, in bytes: every visitor loads it.
const MAX_LOGO_BYTES: u64 = 64 << 10;

/// The longest name of a brand, in characters.
const MAX_BRAND_NAME: usize = 40;

/// The settings of the pages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PagesConfig {
    /// `TOKENHOUSE_PAGES`: which pages exist.
    pub mode: PagesMode,
    /// The hosts that a reverse proxy guards with `/verify`.
    pub guarded: GuardedHosts,
    /// `TOKENHOUSE_BRAND_NAME`: what the pages call the service.
    pub brand_name: String,
    /// `TOKENHOUSE_BRAND_LOGO`: the picture beside the name; a built-in one if `None`.
    pub brand_logo: Option<Logo>,
    /// `TOKENHOUSE_BRAND_COLOUR`: the colour of buttons and links.
    pub brand_colour: Colour,
    /// Whether users may add second factors ([`super::FactorConfig`]).
    pub(crate) offers_factors: bool,
    /// All settings, as the console shows them.
    pub(crate) effective: Arc<[EffectiveSetting]>,
    /// What the console warns of.
    pub(crate) warnings: Arc<[String]>,
}

/// Which pages exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PagesMode {
    /// None.
    Off,
    /// Signing in and out.
    SignIn,
    /// All.
    All,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Logo {
    /// `image/svg+xml` or `image/png`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Arc<[u8]>,
}

impl Logo {
    fn read(path: &Path) -> Result<Self, String> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let media_type = match extension {
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            _ => return Err("expected a file whose name ends in .svg or .png".to_owned()),
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_LOGO_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("the file cannot be read: {}", reason(&error)))?;
        if bytes.len() as u64 > MAX_LOGO_BYTES {
            return Err(format!("the file is larger than {MAX_LOGO_BYTES} bytes"));
        }
        Ok(Self {
            media_type,
            bytes: bytes.into(),
        })
    }
}

impl PagesConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            mode: mode(values)?,
            guarded: GuardedHosts::from_values(values)?,
            brand_name: brand_name(values)?,
            brand_logo: brand_logo(values)?,
            brand_colour: brand_colour(values)?,
            offers_factors: false,
            effective: Arc::default(),
            warnings: Arc::default(),
        })
    }
}

fn mode(values: &Values) -> Result<PagesMode, ConfigError> {
    let name = "TOKENHOUSE_PAGES";
    match values.text(name).as_str() {
        "all" => Ok(PagesMode::All),
        "signin" => Ok(PagesMode::SignIn),
        "off" => Ok(PagesMode::Off),
        _ => Err(ConfigError::new(name, "expected all, signin or off")),
    }
}

pub(super) fn brand_name(values: &Values) -> Result<String, ConfigError> {
    let name = "TOKENHOUSE_BRAND_NAME";
    let text = values.text(name);
    if text.chars().count() > MAX_BRAND_NAME || text.chars().any(char::is_control) {
        let problem = format!("expected at most {MAX_BRAND_NAME} characters on one line");
        return Err(ConfigError::new(name, problem));
    }
    Ok(text)
}

fn brand_logo(values: &Values) -> Result<Option<Logo>, ConfigError> {
    let name = "TOKENHOUSE_BRAND_LOGO";
    let path = values.text(name);
    if path.is_empty() {
        return Ok(None);
    }
    let logo = Logo::read(Path::new(&path));
    logo.map(Some)
        .map_err(|problem| ConfigError::new(name, problem))
}

fn brand_colour(values: &Values) -> Result<Colour, ConfigError> {
    let name = "TOKENHOUSE_BRAND_COLOUR";
    let colour = Colour::parse(&values.text(name));
    colour.ok_or_else(|| ConfigError::new(name, "expected a colour such as #1f6f5c"))
}
