//! The pages for browsers: handlers, their route table and what all pages have in common. Templates and
//! texts are in [`crate::pages`], the guards in `guards/browser.rs`.
//!
//! # Adding a page
//!
//! 1. **Texts** in four languages: a row in a table of `pages/texts/`; a new part of the pages gets a
//!    table of its own, which the test in `texts/mod.rs` lists.
//! 2. **Template** in `pages/templates/`, which extends `gate.html` (a card), `account.html` or
//!    `shell.html`, with the inputs and messages of `macros.html`; and a struct with `frame: Frame` in
//!    `pages/`. No `style` attribute and no inline script: the content security policy refuses both. Only
//!    passkeys have a script.
//! 3. **Handler** here. [`Page`] builds the frame. The caller is a parameter: `BrowserSession` signed
//!    in, `MaybeBrowserSession` perhaps. Whatever changes something is a `POST` and takes its form as
//!    [`SignedForm`] (as [`FreshForm`] if it needs a recent sign-in, or [`OwnForm`] for browsers that are not signed in), which refuse what other sites send and
//!    what another user's page sends. Success is [`see_other`], a refusal the form again by
//!    [`refused_form`]; any other error is returned, and becomes a page in [`complete()`].
//! 4. **Route** in [`routes`], by `page`, and a row in `tests/api/pages/matrix.rs`.
//! 5. **Tests** in `tests/api/pages/`, by HTTP; what only a browser does, in `scripts/pages-test.py`.
//!
//! Every link begins with `frame.link(…)`, every `Location` with [`Page::link`]: the service may be
//! below a path.

mod complete;
mod console;
mod cookies;
mod delete;
mod enrolment;
mod enrolment_passkey;
mod events;
mod factors;
mod files;
mod forms;
mod fresh;
mod guarded;
mod keys;
#[cfg(feature = "mail")]
mod mail_steps;
mod page;
mod passkeys;
mod password;
mod profile;
mod respond;
mod return_to;
mod second_factor;
mod sessions;
mod sign_in;
mod sign_up;
mod step_up;

use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::HttpServiceFactory;
use actix_web::{Resource, web};

pub(super) use complete::complete;
use forms::{OwnForm, SignedForm};
use fresh::FreshForm;
#[cfg(feature = "mail")]
pub(super) use mail_steps::routes as mail_routes;
use page::Page;
use respond::{back_to, refused_form, see_other, show, show_as};

use super::log_limit::LogLimit;
use super::method_router::{Methods, get, post, resource};
use crate::config::{EffectiveSetting, GuardedHosts, PagesConfig, PagesMode};
use crate::guards::PageRoute;
use crate::metrics::Metrics;
use crate::pages::Assets;

/// The settings of the pages, in the `app_data` of an app with pages.
#[derive(Clone)]
pub(super) struct Pages {
    mode: PagesMode,
    offers_factors: bool,
    assets: Arc<Assets>,
    last_verification: console::LastVerification,
    settings: Arc<[EffectiveSetting]>,
    warnings: Arc<[String]>,
    started: Instant,
    guarded: web::Data<GuardedHosts>,
}

impl Pages {
    /// The pages with the brand of the settings.
    pub(super) fn new(config: &PagesConfig) -> Self {
        Self {
            mode: config.mode,
            offers_factors: config.offers_factors,
            assets: Arc::new(Assets::new(config)),
            last_verification: console::LastVerification::default(),
            settings: Arc::clone(&config.effective),
            warnings: Arc::clone(&config.warnings),
            started: Instant::now(),
            guarded: web::Data::new(config.guarded.clone()),
        }
    }

    /// Whether there is a page for signing in.
    pub(super) fn are_on(&self) -> bool {
        self.mode > PagesMode::Off
    }
}

/// The routes of the pages, each as `finish` completes it.
pub(super) fn routes<R: HttpServiceFactory + 'static>(
    app: &mut web::ServiceConfig,
    metrics: &Metrics,
    pages: &Pages,
    finish: impl Fn(Resource) -> R,
) {
    let page = |path: &'static str, methods: Methods| {
        finish(resource(metrics, path, methods).app_data(PageRoute(path)))
    };
    app.app_data(pages.clone());
    if pages.mode >= PagesMode::SignIn {
        app.app_data(pages.guarded.clone())
            .app_data(LogLimit::default());
        app.service(page("/signin", get(sign_in::form).post(sign_in::sign_in)))
            .service(page(
                "/signin/factor",
                get(sign_in::start_again).post(second_factor::check),
            ))
            .service(page(
                "/signin/enrol",
                get(sign_in::start_again).post(enrolment::confirm),
            ))
            .service(page(
                "/signin/enrol/passkey",
                get(sign_in::start_again).post(enrolment_passkey::begin),
            ))
            .service(page(
                "/signin/enrol/passkey/confirm",
                get(sign_in::start_again).post(enrolment_passkey::confirm),
            ))
            .service(page(
                "/signin/passkey",
                get(sign_in::start_again).post(passkeys::sign_in),
            ))
            .service(page(
                "/signin/confirm",
                get(step_up::form).post(step_up::confirm),
            ))
            .service(page("/signin/continue", get(sign_in::go_on)))
            .service(page("/signin/stopped", get(guarded::stopped)))
            .service(page("/signin/denied", get(guarded::denied)))
            .service(page("/.tokenhouse/callback", get(guarded::callback)))
            .service(page("/signout", post(sign_in::sign_out)))
            .service(page("/assets/{file}", get(files::file)));
    }
    if pages.mode >= PagesMode::All {
        app.service(page("/signup", get(sign_up::form).post(sign_up::sign_up)))
            .service(page("/account", get(profile::read).post(profile::update)))
            .service(page(
                "/account/password",
                get(password::form).post(password::change),
            ))
            .service(page("/account/sessions", get(sessions::list)))
            .service(page(
                "/account/sessions/end-others",
                post(sessions::end_others),
            ))
            .service(page(
                "/account/sessions/{id}/rename",
                post(sessions::rename),
            ))
            .service(page("/account/sessions/{id}/end", post(sessions::end)))
            .service(page(
                "/account/factors",
                get(factors::list).post(factors::begin),
            ))
            .service(page(
                "/account/factors/{id}/confirm",
                post(factors::confirm),
            ))
            .service(page("/account/factors/{id}/rename", post(factors::rename)))
            .service(page("/account/factors/{id}/remove", post(factors::remove)))
            .service(page("/account/passkeys", post(passkeys::begin)))
            .service(page(
                "/account/passkeys/{id}/confirm",
                post(passkeys::confirm),
            ))
            .service(page(
                "/account/devices/{id}/forget",
                post(factors::forget_device),
            ))
            .service(page(
                "/account/recovery-codes",
                post(factors::replace_codes),
            ))
            .service(page("/account/keys", get(keys::list).post(keys::create)))
            .service(page("/account/keys/{id}/revoke", post(keys::revoke)))
            .service(page("/account/events", get(events::list)))
            .service(page(
                "/account/delete",
                get(delete::form).post(delete::delete),
            ));
        console::routes(app, page);
    }
}
