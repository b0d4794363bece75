//! The pages between a guarded host and the sign-in.

use askama::Template;

use super::Frame;
use super::language::fill;
use super::texts::guarded::GuardedTexts;

/// Leads on to a guarded host, by a header, and by a link for browsers without it.
#[derive(Template)]
#[template(path = "onward.html")]
pub(crate) struct OnwardPage {
    frame: Frame,
    t: &'static GuardedTexts,
    host: String,
    url: String,
}

impl OnwardPage {
    /// The page that leads to this URL at this host.
    pub(crate) fn new(frame: Frame, host: &str, url: &str) -> Self {
        Self {
            t: GuardedTexts::of(frame.language),
            frame,
            host: host.to_owned(),
            url: url.to_owned(),
        }
    }

    fn link(&self) -> String {
        fill(self.t.onward_link, "host", &self.host)
    }
}

/// Why a browser is not sent back and forth any longer.
#[derive(Template)]
#[template(path = "stopped.html")]
pub(crate) struct StoppedPage {
    frame: Frame,
    t: &'static GuardedTexts,
    host: String,
    /// Where to try again.
    url: Option<String>,
}

impl StoppedPage {
    /// The page for a host and a URL there, if they are known.
    pub(crate) fn new(frame: Frame, to: Option<(&str, &str)>) -> Self {
        let t = GuardedTexts::of(frame.language);
        Self {
            host: to.map_or(t.other_site, |(host, _)| host).to_owned(),
            url: to.map(|(_, url)| url.to_owned()),
            t,
            frame,
        }
    }

    fn text(&self) -> String {
        fill(self.t.stopped_text, "host", &self.host)
    }
}

/// Which scope the signed-in user lacks.
#[derive(Template)]
#[template(path = "denied.html")]
pub(crate) struct DeniedPage {
    frame: Frame,
    t: &'static GuardedTexts,
    host: String,
    scope: Option<String>,
    /// Where the sign-in page leads.
    query: String,
}

impl DeniedPage {
    /// The page for the user of the frame.
    pub(crate) fn new(
        frame: Frame,
        host: Option<&str>,
        scope: Option<String>,
        query: Option<String>,
    ) -> Self {
        let t = GuardedTexts::of(frame.language);
        Self {
            host: host.unwrap_or(t.other_site).to_owned(),
            scope: scope.filter(|scope| !scope.is_empty()),
            query: query.map_or_else(String::new, |query| format!("?{query}")),
            t,
            frame,
        }
    }

    fn who(&self) -> String {
        let email = self.frame.user.as_ref().map_or("", |user| &user.email);
        fill(self.t.denied_who, "email", email)
    }

    fn what(&self) -> String {
        match &self.scope {
            Some(scope) => fill(
                &fill(self.t.denied_scope, "scope", scope),
                "host",
                &self.host,
            ),
            None => fill(self.t.denied_text, "host", &self.host),
        }
    }
}
